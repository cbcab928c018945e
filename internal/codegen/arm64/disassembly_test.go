package arm64

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestDisassembly compares what every method encodes with what binutils make of it.
func TestDisassembly(t *testing.T) {
	samples := slices.Concat(vectorSamples(), generalSamples(), specialSamples, branchSamples)
	var a Assembler
	var want, method []string
	for _, s := range samples {
		lines := strings.Split(s.want, "\n")
		before := a.Len()
		s.emit(&a)
		if got := (a.Len() - before) / instruction; got != len(lines) {
			t.Fatalf("%s: %d instructions, want %q", s.method, got, s.want)
		}
		for _, line := range lines {
			want, method = append(want, line), append(method, s.method)
		}
	}
	code, err := a.Finish()
	if err != nil {
		t.Fatal(err)
	}
	got := disassemble(t, code)
	if len(got) != len(want) {
		t.Fatalf("%d instructions, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s: %q, want %q", method[i], got[i], want[i])
		}
	}
	t.Logf("%d instructions", len(got))

	covered := map[string]bool{"Label": true, "Bind": true, "Here": true, "Align": true, "Len": true, "Finish": true}
	for _, m := range method {
		covered[m] = true
	}
	for m := range reflect.TypeFor[*Assembler]().Methods() {
		if !covered[m.Name] {
			t.Errorf("no sample of %s", m.Name)
		}
	}
}

// The branches. Their text holds no address: the distance is put in its place.
var branchSamples = []sample{
	{"B", ahead(func(a *Assembler, l Label) { a.B(l) }), "b +8\nnop"},
	{"Beq", ahead(func(a *Assembler, l Label) { a.Beq(l) }), "b.eq +8\nnop"},
	{"Bne", ahead(func(a *Assembler, l Label) { a.Bne(l) }), "b.ne +8\nnop"},
	{"Bge", ahead(func(a *Assembler, l Label) { a.Bge(l) }), "b.ge +8\nnop"},
	{"Blt", ahead(func(a *Assembler, l Label) { a.Blt(l) }), "b.lt +8\nnop"},
	{"Cbz", ahead(func(a *Assembler, l Label) { a.Cbz(X30, l) }), "cbz x30, +8\nnop"},
	{"Cbnz", ahead(func(a *Assembler, l Label) { a.Cbnz(X1, l) }), "cbnz x1, +8\nnop"},
	{"B", func(a *Assembler) { a.B(a.Here()) }, "b +0"},
	{"B", behind(func(a *Assembler, l Label) { a.B(l) }), "nop\nb -4"},
	{"Bne", behind(func(a *Assembler, l Label) { a.Bne(l) }), "nop\nb.ne -4"},
	{"Cbz", behind(func(a *Assembler, l Label) { a.Cbz(XZR, l) }), "nop\ncbz xzr, -4"},
}

const nop = 0xD503201F

func ahead(branch func(a *Assembler, l Label)) func(a *Assembler) {
	return func(a *Assembler) {
		l := a.Label()
		branch(a, l)
		a.word(nop)
		a.Bind(l)
	}
}

func behind(branch func(a *Assembler, l Label)) func(a *Assembler) {
	return func(a *Assembler) {
		l := a.Here()
		a.word(nop)
		branch(a, l)
	}
}

// disassemble returns the text of each instruction: name, space, operands.
func disassemble(t *testing.T, code []byte) []string {
	const tool = "aarch64-linux-gnu-objdump"
	if _, err := exec.LookPath(tool); err != nil {
		t.Skipf("%s, of Debian's binutils-aarch64-linux-gnu, is not here", tool)
	}
	file := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(file, code, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "-D", "-z", "-b", "binary", "-m", "aarch64", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", tool, err, out)
	}
	// address, colon, word, name, operands, comment
	line := regexp.MustCompile(`(?m)^ *([0-9a-f]+):\t[0-9a-f]{8} \t([a-z0-9.]+)(?:\t([^/\n]*))?`)
	var text []string
	for _, m := range line.FindAllStringSubmatch(string(out), -1) {
		text = append(text, strings.TrimSpace(m[2]+" "+distance(t, m[1], strings.TrimSpace(m[3]))))
	}
	return text
}

var target = regexp.MustCompile(`(^|, )0x[0-9a-f]+$`)

// distance replaces the target of a branch in operands, of an instruction at address at, by
// how far away it is.
func distance(t *testing.T, at, operands string) string {
	return target.ReplaceAllStringFunc(operands, func(s string) string {
		before, to, _ := strings.Cut(s, "0x")
		return fmt.Sprintf("%s%+d", before, parseHex(t, to)-parseHex(t, at))
	})
}

func parseHex(t *testing.T, s string) int64 {
	n, err := strconv.ParseInt(s, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
