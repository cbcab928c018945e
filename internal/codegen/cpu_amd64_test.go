package codegen

import "testing"

func TestTwiceBy(t *testing.T) {
	for _, test := range []struct {
		vendor, family, model, name string
		want                        bool
	}{
		{"GenuineIntel", "6", "143", "", true},  // Sapphire Rapids
		{"GenuineIntel", "6", "85", "", true},   // Skylake for servers
		{"GenuineIntel", "6", "140", "", false}, // Tiger Lake
		{"AuthenticAMD", "25", "17", "", false}, // Zen 4
		{"AuthenticAMD", "26", "2", "", true},   // Zen 5
		{"GenuineIntel", "6", "85", "Intel(R) Xeon(R) Silver 4110 CPU @ 2.10GHz", false},
		{"GenuineIntel", "6", "85", "Intel(R) Xeon(R) Gold 6154 CPU @ 3.00GHz", true},
		{"AuthenticAMD", "26", "36", "", false}, // Strix Point
		{"AuthenticAMD", "26", "68", "", true},  // Granite Ridge
		{"", "", "", "", false},
	} {
		p := map[string]string{"vendor_id": test.vendor, "cpu family": test.family, "model": test.model, "model name": test.name}
		if got := twiceBy(p); got != test.want {
			t.Errorf("%v: %v, want %v", p, got, test.want)
		}
	}
}
