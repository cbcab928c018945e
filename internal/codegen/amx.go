package codegen

import "sync"

// amx is the target whose convolutions of pairs are done by tiles (see ConvAMX). All else
// is as on avx512.
const amx = "amx"

// AMX reports whether t is the target with tiles.
func (t Target) AMX() bool { return t.name == amx }

func hasAMX() bool { return amxMissing() == nil }

// amxMissing returns why this process cannot use tiles, nil where it can. The system is
// asked for them once.
var amxMissing = sync.OnceValue(askAMX)

// EmulateAMX is for tests, and makes this machine count as one with AMX: whoever calls it
// sees to it that its instructions are emulated.
func EmulateAMX() { amxMissing = func() error { return nil } }
