package codegen

import "sync"

// AMX is the target whose convolutions of pairs are done by tiles (see ConvAMX). All else
// is as on avx512.
const AMX = "amx"

// AMX reports whether t is the target with tiles.
func (t Target) AMX() bool { return t.name == AMX }

func hasAMX() bool { return amxMissing() == nil }

// AMXMissing returns why this process cannot use tiles, nil where it can.
func AMXMissing() error { return amxMissing() }

// amxMissing asks the system once. Tests replace it.
var amxMissing = sync.OnceValue(askAMX)

// EmulateAMX is for tests, and makes this machine count as one with AMX: whoever calls it
// sees to it that its instructions are emulated.
func EmulateAMX() { amxMissing = func() error { return nil } }
