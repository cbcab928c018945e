package amd64

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestForms asks GNU as which forms of the instructions there are: a disassembler shows
// neither that one is missing in the table nor that one is there too many.
func TestForms(t *testing.T) {
	as, err := exec.LookPath("as")
	if err != nil {
		t.Skip("as is not installed (Debian: binutils)")
	}
	object := filepath.Join(t.TempDir(), "forms.o")
	assemble := func(lines []string) string {
		c := exec.Command(as, "--64", "-o", object)
		c.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
		out, _ := c.CombinedOutput() // it fails at the first form that there is not
		return string(out)
	}
	lines := []string{".intel_syntax noprefix"}
	if out := assemble(lines); out != "" {
		t.Skipf("as does not assemble x86-64: %s", out)
	}

	var exists []bool
	for _, i := range forms() {
		for _, e := range []encoding{vex, evex} {
			if e == vex && i.op.name == "vcvtneps2bf16" {
				continue // left out, as AVX-NE-CONVERT lacks the products of bfloat16
			}
			lines = append(lines, gas(i, e))
			exists = append(exists, i.exists(e))
		}
	}
	refused := map[int]bool{}
	for _, m := range regexp.MustCompile(`(?m):(\d+): Error: `).FindAllStringSubmatch(assemble(lines), -1) {
		n, _ := strconv.Atoi(m[1])
		refused[n] = true
	}
	if len(refused) == 0 {
		t.Fatal("as assembles everything")
	}
	for n, e := range exists {
		const heading = 1
		if line := n + heading + 1; refused[line] == e {
			t.Errorf("%s: as takes it: %v, the table has it: %v", lines[line-1], !refused[line], e)
		}
	}
}

// forms lists every instruction with every kind of operand, whether there is such a one or
// not.
func forms() []instr {
	var list []instr
	for _, o := range allOps {
		if o.enc&(evex|preferEVEX) == preferEVEX {
			continue // a part of another
		}
		for _, w := range []Width{X, Y, Z} {
			i := instr{op: o, w: w, d: 1, x: 2, y: Vec(3), z: 4, imm: 0x7b}
			variants := []instr{i}
			if o.enc&toMask != 0 {
				i.toMask = true
				variants = append(variants, i)
			}
			if o.enc&fromMask != 0 {
				i.y = Mask(3)
				variants[0] = i
			}
			if o.form != formMR && o.form != formMRI && o.mem != noTuple {
				i.y = At(RAX, 0)
				variants = append(variants, i)
				i.y = At(RAX, 0).Bcast()
				variants = append(variants, i)
			}
			if o.mem != noTuple && (o.form == formMR || o.form == formMRI || o.form == formRM) {
				i.y, i.store = At(RAX, 0), true
				variants = append(variants, i)
			}
			for _, v := range variants {
				for _, m := range []writeMask{{}, {1, false}, {1, true}} {
					v.mask = m
					list = append(list, v)
				}
			}
		}
	}
	return list
}

// exists reports whether the table has i in the encoding e.
func (i instr) exists(e encoding) bool {
	m, inMem := i.y.(Mem)
	_, inReg := i.y.(Vec)
	o := i.op
	switch {
	case o.enc&e == 0 || o.enc.excludes(i.w) || inReg && o.enc&noReg != 0,
		i.mask.k != 0 && o.enc&noMask != 0,
		i.mask.zero && (i.store || i.toMask),
		m.Broadcast && o.mem.element() == 0,
		i.store && o.form == formRM && o.store == 0:
		return false
	case e == evex:
		return i.toMask == (o.enc&toMask != 0)
	}
	return i.w != Z && i.mask.k == 0 && !m.Broadcast && !i.toMask && !(inMem && o.form == formVMI)
}

// gas returns i in the syntax of GNU as, which wants the number of copies in a broadcast.
func gas(i instr, e encoding) string {
	text := i.text()
	if m, ok := i.y.(Mem); ok && m.Broadcast {
		text, _, _ = strings.Cut(text, "{1to")
		text = strings.Replace(text, " BCST", " PTR", 1)
		text = strings.Replace(text, "]", fmt.Sprintf("]{1to%d}", int32(i.w)/8/i.element()), 1)
	}
	if e == vex {
		return "{vex} " + text
	}
	return "{evex} " + text
}
