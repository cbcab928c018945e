// Package prune makes networks smaller. A Trim takes levels, anchors and classes out of the
// head. The rest of the package removes channels: it finds which can only go together,
// scores them, plans a cut and carries it out.
//
// Everything is decided per channel, not per layer. Each channel of each node's result
// belongs to one class: the channels that are there or gone at the same time, because a
// shortcut adds them, a depthwise convolution filters them one by one, or they are the
// same channel under several names (SPPF concatenates one four times). A Group is the
// classes of convolutions that share any. This is DepGraph (Fang et al., CVPR 2023;
// VainF/Torch-Pruning), done on the graph itself instead of on a trace.
//
// A channel may go if a zero in its place changes nothing else: then the network with
// its weights zeroed (Plan.Mask) and the smaller network without them (Plan.Apply)
// compute the same, and the test does so for every group of every release of YOLOv5.
//
// A Table (Measure) says what cuts of each group cost in accuracy. New fills a knapsack with
// it, or with scores alone, against parameters, bytes, operations or a Clock's milliseconds;
// a File is the plan as a person reads and edits it.
package prune
