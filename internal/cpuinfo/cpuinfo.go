// Package cpuinfo says what the system tells of the processor.
package cpuinfo

import (
	"bufio"
	"bytes"
	"os"
	"strings"
)

// First returns the fields of the first processor in Linux's /proc/cpuinfo, such as
// "model name"; none where the system has no such file.
func First() map[string]string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return nil
	}
	return parse(text)
}

// parse takes the fields up to the first empty line behind one.
func parse(cpuinfo []byte) map[string]string {
	fields := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(cpuinfo)); lines.Scan(); {
		key, value, found := strings.Cut(lines.Text(), ":")
		if found {
			fields[strings.TrimSpace(key)] = strings.TrimSpace(value)
		} else if len(fields) > 0 {
			break
		}
	}
	return fields
}
