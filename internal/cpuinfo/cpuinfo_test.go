package cpuinfo

import (
	"maps"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		text string
		want map[string]string
	}{
		{"processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon: 3\n\nprocessor\t: 1\nvendor_id\t: Other\n",
			map[string]string{"processor": "0", "vendor_id": "GenuineIntel", "model name": "Xeon: 3"}},
		{"\n\nCPU implementer\t: 0x41\nCPU part\t: 0xd07\n\n", map[string]string{"CPU implementer": "0x41", "CPU part": "0xd07"}},
		{"", map[string]string{}},
		{"no fields at all\n", map[string]string{}},
	}
	for _, test := range tests {
		if got := parse([]byte(test.text)); !maps.Equal(got, test.want) {
			t.Errorf("parse(%q) = %q, want %q", test.text, got, test.want)
		}
	}
}
