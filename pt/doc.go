// Package pt reads the checkpoints that PyTorch's torch.save writes, as YOLOv5 of every
// release uses it, and gives back the module tree as inert data. Nothing in a file is
// executed: a pickle is a program, and this package runs only the part of it that
// builds lists, dicts and tensors.
//
// Both containers are read: the zip archive (since PyTorch 1.6) and the five pickles
// with raw storages behind them that came before. Their layout is defined by
// torch/serialization.py and torch/_utils.py, the pickle opcodes by Python's
// Lib/pickletools.py.
//
// What a file may ask for is bounded before it is given: calls to an allow-list
// (makers), lengths to what the file holds, tensors to twice the file's size, objects,
// nesting and the expanded size of shared lists and modules to fixed numbers.
//
// Why not github.com/nlpodyssey/gopickle (v0.2.0 was tried): it allocates lengths as the
// file states them, so that six bytes cost two gigabytes, panics on a BINBYTES8 of 2^63-1,
// and checkpoints with three random bytes changed end the process for lack of memory.
package pt
