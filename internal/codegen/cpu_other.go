//go:build !amd64

package codegen

func hasAVX2() bool       { return false }
func hasAVX512() bool     { return false }
func hasAVX512BF16() bool { return false }
func twice() bool         { return false }
