// Package graph is the one representation of a network that every stage shares: readers
// build it, training fills its tensors, pruning and quantising return new graphs, the
// engine compiles it.
//
// A Graph is a list of nodes in the order of execution. Every op has exactly one result,
// so a node is also the value that others take as input. Each op is a Go type that holds
// its own tensors. Names are YOLOv5's ("model.4.cv1.conv"), and a tensor's name is its
// node's with PyTorch's suffix ("model.4.cv1.conv.weight"), so files and tables speak the
// user's language.
//
// The text form (String, Parse) shows everything except the numbers in the tensors; it
// reads and prints back identically and is stored in checkpoints.
package graph
