package main

import (
	"cmp"
	"runtime"

	"ultrafast/internal/cpuinfo"
)

// processor names this machine's processor, where the system tells.
func processor() string {
	return cmp.Or(cpuinfo.First()["model name"], runtime.GOOS+"/"+runtime.GOARCH)
}
