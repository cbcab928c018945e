// Package safetensors reads and writes checkpoints: a graph with its numbers in one file
// of the safetensors format, which Hugging Face's library and every tool built on it open
// as well (https://github.com/huggingface/safetensors, section "Format").
//
// A file is the length of the header in 8 bytes, the header as JSON, and the tensors,
// little endian and without gaps. The header's __metadata__ holds
//
//	"format"  "ultrafast checkpoint 1"
//	"graph"   the text form of the graph, as graph.Parse reads it
//
// and the caller's own entries. Tensors have the names that graph.Params gives them, which
// are PyTorch's; weights of 8 bits are I8, and what they are to be multiplied by is beside
// them, one F32 for each output channel, as the node's name and ".weight_scale"; further ones, an optimizer's for instance, are called "extra." and a
// name. What Write is given decides every byte of the file.
//
// Files are hostile: all that a header says is checked against the file's size and the
// graph before a tensor is allocated.
//
// Why not github.com/nlpodyssey/safetensors (bfb01cc of February 2025 was read): it wants
// the whole file in memory, decodes the header into maps and any, where the second of two
// equal names wins silently and a header costs many times its size, gives errors without a
// place in the file, and has no release.
package safetensors
