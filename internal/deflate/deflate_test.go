package deflate_test

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	kflate "github.com/klauspost/compress/flate"
	"github.com/layersmith/layersmith/internal/deflate"
)

var levels = map[string]deflate.Level{"fast": deflate.Fast, "best": deflate.Best}

// noise returns n pseudo-random bytes, the same on every run.
func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	x := seed*0x9E3779B97F4A7C15 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 32)
	}

	return b
}

// mixed returns n bytes of alternating kinds: text, records with counters, near repeats and noise.
func mixed(n int) []byte {
	words := strings.Fields(
		"import return self class def numpy array dtype for in if not None True raise ValueError shape axis",
	)
	rnd := noise(n+64, 3)
	b := make([]byte, 0, n+4096)
	for i := 0; len(b) < n; i++ {
		r := int(rnd[i%len(rnd)]) | int(rnd[(i+1)%len(rnd)])<<8
		switch len(b) >> 15 % 5 {
		case 0:
			b = fmt.Appendf(b, "%s ", words[r%len(words)])
		case 1:
			b = append(b, 0x48, 0x8b, byte(r), 0, 0, byte(i), byte(i>>8), 0)
		case 2:
			at := max(len(b)-1-r, 0)
			b = append(b, b[at:min(at+3+r%300, len(b))]...)
		case 3:
			b = append(b, byte(r)&15|byte(r>>8)&16)
		case 4:
			b = append(b, byte(r))
		}
	}

	return b[:n]
}

// apart returns a text that occurs twice, dist bytes apart, with noise in between.
func apart(dist int) []byte {
	text := []byte("the same forty characters, twice over!!!")
	b := noise(dist+len(text), 9)
	for i := range b {
		b[i] &= 15 // 4 bits of noise a byte, so that the block is coded and not stored
	}

	copy(b, text)
	copy(b[dist:], text)
	return b
}

func cases() map[string][]byte {
	m := map[string][]byte{
		"nothing":                      nil,
		"one byte":                     {0},
		"two bytes":                    {1, 2},
		"three equal bytes":            {7, 7, 7},
		"all bytes once":               noise(0, 0),
		"one byte many times":          make([]byte, 1<<20),
		"one byte as often as a match": make([]byte, 259),
		"noise shorter than a block":   noise(1000, 1),
		"noise of one stored block":    noise(65535, 1),
		"noise one byte longer":        noise(65536, 1),
		"noise of many stored blocks":  noise(700_001, 1),
		"text":                         []byte(strings.Repeat("Sphinx of black quartz, judge my vow. ", 3000)),
		"alternating kinds":            mixed(1 << 20),
		"noise, zeros, noise":          slices.Concat(noise(100_000, 2), make([]byte, 100_000), noise(100_000, 4)),
		"few zeros at a time":          bytes.Repeat(append(noise(1500, 5), make([]byte, 8)...), 50),
	}
	for i := range 256 {
		m["all bytes once"] = append(m["all bytes once"], byte(i))
	}

	for _, period := range []int{2, 3, 5, 255, 257, 258, 259, 4093} {
		m[fmt.Sprint("period of ", period)] = bytes.Repeat(noise(period, uint64(period)), 100_000/period)
	}

	for _, n := range []int{4, 5, 7, 8, 9, 4*65535 - 1, 4 * 65535, 4*65535 + 1, 8*65535 + 2} {
		m[fmt.Sprint("mixed, size ", n)] = mixed(n)
		m[fmt.Sprint("noise, size ", n)] = noise(n, uint64(n))
	}

	for _, n := range []int{257, 258, 259, 260} {
		b := noise(4096, 6)
		m[fmt.Sprint("a match of ", n)] = append(b, append(b[100:100+n:100+n], noise(50, 7)...)...)
	}

	for _, d := range []int{1, 32766, 32767, 32768, 32769, 65536} {
		m[fmt.Sprint("equal text at distance ", d)] = apart(d)
	}

	return m
}

func readAll(t testing.TB, name string, r io.Reader, want []byte) {
	t.Helper()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}

	if !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes differ from the %d put in", name, len(got), len(want))
	}
}

func roundTrip(t testing.TB, src []byte, level deflate.Level) {
	t.Helper()
	prefix := []byte("kept")
	out := deflate.Encode(bytes.Clone(prefix), src, level)
	z, ok := bytes.CutPrefix(out, prefix)
	if !ok {
		t.Fatalf("dst is not the start of the result")
	}

	// A byte after the stream shows that readers stop at the end mark.
	in := bytes.NewReader(append(z[:len(z):len(z)], 0xff))
	readAll(t, "compress/flate", flate.NewReader(in), src)
	if in.Len() != 1 {
		t.Fatalf("compress/flate left %d bytes, want the one after the stream", in.Len())
	}

	readAll(t, "klauspost", kflate.NewReader(bytes.NewReader(z)), src)
	if limit := len(src) + 5*(len(src)/65535+1); len(z) > limit {
		t.Fatalf("%d bytes became %d, more than the %d of stored blocks", len(src), len(z), limit)
	}
}

func TestEncodeIsReadBack(t *testing.T) {
	for name, src := range cases() {
		for level, l := range levels {
			t.Run(name+"/"+level, func(t *testing.T) { roundTrip(t, src, l) })
		}
	}
}

func TestRepeatWithinReachIsFound(t *testing.T) {
	for name, l := range levels {
		near := len(deflate.Encode(nil, apart(32767), l))
		far := len(deflate.Encode(nil, apart(32769), l))
		if near+20 > far {
			t.Errorf("%s: text repeated at distance 32767 takes %d bytes, at 32769 %d", name, near, far)
		}
	}
}

func TestBestIsSmaller(t *testing.T) {
	src := mixed(1 << 20)
	var std bytes.Buffer
	w, _ := flate.NewWriter(&std, 9)
	_, _ = w.Write(src)
	_ = w.Close()
	fast := len(deflate.Encode(nil, src, deflate.Fast))
	best := len(deflate.Encode(nil, src, deflate.Best))
	if best > fast || fast >= std.Len() {
		t.Errorf("sizes: best %d, fast %d, compress/flate %d; want them to grow in this order", best, fast, std.Len())
	}
}

// The digests may change only together with Version.
func TestBytesAreTheSameEverywhere(t *testing.T) {
	want := map[string]string{
		"fast": "cbae730fe5860635",
		"best": "4e48a86d8d6ce807",
	}
	src := append(mixed(900_000), noise(100_000, 8)...)
	var wg sync.WaitGroup
	for name, l := range levels {
		for range 3 { // a reused encoder must not depend on its earlier input
			wg.Go(func() {
				deflate.Encode(nil, noise(5000, 1), l)
				sum := sha256.Sum256(deflate.Encode(nil, src, l))
				if got := hex.EncodeToString(sum[:8]); got != want[name] {
					t.Errorf("%s, version %s: digest %s, want %s", name, deflate.Version, got, want[name])
				}
			})
		}
	}

	wg.Wait()
}

func FuzzEncode(f *testing.F) {
	for _, src := range cases() {
		if len(src) < 5000 {
			f.Add(src, uint16(1))
		}
	}

	f.Add([]byte("ab"), uint16(40000))
	f.Add(noise(300, 1), uint16(999))
	f.Fuzz(func(t *testing.T, src []byte, times uint16) {
		// Fuzzers make short inputs. Repeats reach the ends of blocks and pieces.
		if n := len(src); n > 0 {
			src = bytes.Repeat(src, 1+int(times)%(1+600_000/n))
		}

		for _, l := range levels {
			roundTrip(t, src, l)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	src := mixed(4 << 20)
	if name := os.Getenv("DEFLATE_SAMPLE"); name != "" {
		var err error
		if src, err = os.ReadFile(name); err != nil {
			b.Fatal(err)
		}
	}

	for name, l := range levels {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			var z []byte
			for b.Loop() {
				z = deflate.Encode(z[:0], src, l)
			}

			b.ReportMetric(float64(len(z))/float64(len(src)), "ratio")
		})
	}
}

// Segments are encoded in parallel. The output is one stream and does not depend on the number of
// processors.
func TestSegmentsJoinToOneStream(t *testing.T) {
	src := make([]byte, 9<<20+12345) // more than two segments
	for i := range src {
		src[i] = byte(i>>7) ^ byte(i*i>>13)
	}

	many := deflate.Encode([]byte("before"), src, deflate.Fast)
	before := runtime.GOMAXPROCS(1)
	one := deflate.Encode([]byte("before"), src, deflate.Fast)
	runtime.GOMAXPROCS(before)
	if !bytes.Equal(one, many) {
		t.Fatal("the number of processors changes the bytes")
	}

	rest, ok := bytes.CutPrefix(many, []byte("before"))
	if !ok {
		t.Fatal("dst is not the start of the result")
	}

	got, err := io.ReadAll(flate.NewReader(bytes.NewReader(rest)))
	if err != nil || !bytes.Equal(got, src) {
		t.Fatalf("%d bytes decoded of %d, %v", len(got), len(src), err)
	}
}
