package prune

import (
	"fmt"

	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/sharedobj"
)

var elfStrip = Transform{
	ID:      "elf-strip",
	Version: fmt.Sprint(sharedobj.StripVersion),
	Rewrite: func(_ string, in []byte, _ policy.Policy) ([]byte, error) {
		if !sharedobj.Is(in) {
			return in, nil // a linker script, or another file with the extension .so
		}

		return sharedobj.Strip(in)
	},
	Verify: func(_ string, before, after []byte) error {
		if !sharedobj.Is(before) {
			return nil
		}

		facts, err := sharedobj.Read(after)
		if err != nil {
			return err
		}

		if bad := facts.Misalignments(); len(bad) > 0 {
			return fmt.Errorf("%v", bad[0])
		}

		return sharedobj.SameLoaded(before, after)
	},
}
