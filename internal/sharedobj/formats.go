package sharedobj

import (
	"bytes"
	"encoding/binary"
)

// ForeignHeadBytes is how much of a file ForeignSystem needs.
const ForeignHeadBytes = 4096

// ForeignSystem is the system that a program or library is for, if that is not Linux, by the first
// bytes: Mach-O (mach-o/loader.h, mach-o/fat.h) is macOS, PE (Microsoft's PE format) is Windows.
func ForeignSystem(head []byte) string {
	if len(head) < 8 {
		return ""
	}

	switch binary.BigEndian.Uint32(head) {
	case 0xfeedface, 0xfeedfacf, 0xcefaedfe, 0xcffaedfe:
		return "macOS"
	case 0xcafebabe, 0xcafebabf:
		// A count of architectures follows. Java classes begin alike; their version is 45 and more.
		if n := binary.BigEndian.Uint32(head[4:]); n > 0 && n < 45 {
			return "macOS"
		}
	}

	const offsetAt = 0x3c
	if !bytes.HasPrefix(head, []byte("MZ")) || len(head) < offsetAt+4 {
		return ""
	}

	at := int64(binary.LittleEndian.Uint32(head[offsetAt:]))
	if at+4 <= int64(len(head)) && bytes.HasPrefix(head[at:], []byte("PE\x00\x00")) {
		return "Windows"
	}

	return ""
}
