package sharedobj

import "testing"

func TestForeignSystem(t *testing.T) {
	t.Parallel()
	pe := make([]byte, 0x100)
	copy(pe, "MZ")
	pe[0x3c] = 0x80
	copy(pe[0x80:], "PE\x00\x00")
	far := append([]byte{}, pe...)
	far[0x3d] = 0x10
	for name, tt := range map[string]struct {
		head string
		want string
	}{
		"Mach-O of 64 bits":         {"\xcf\xfa\xed\xfe\x0c\x00\x00\x01", "macOS"},
		"Mach-O of several":         {"\xca\xfe\xba\xbe\x00\x00\x00\x02", "macOS"},
		"a Java class":              {"\xca\xfe\xba\xbe\x00\x00\x00\x34", ""},
		"PE":                        {string(pe), "Windows"},
		"a DOS program":             {"MZ" + string(make([]byte, 100)), ""},
		"a PE header beyond it":     {string(far), ""},
		"a header that is cut":      {"MZ345678", ""},
		"ELF":                       {"\x7fELF\x02\x01\x01\x00", ""},
		"Mach-O that ends too soon": {"\xcf\xfa\xed\xfe", ""},
		"nothing":                   {"", ""},
	} {
		if got := ForeignSystem([]byte(tt.head)); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
