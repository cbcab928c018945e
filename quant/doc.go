// Package quant turns a float network into one of 8-bit numbers.
//
// Calibrate runs the float network on pictures and finds for each value the range that its 8
// bits are to cover; Ranges is what it finds, and a file that a person may read and edit.
// Quantize then writes the new graph, and Losses says how much of each value the 8 bits lose.
// Drops says what each layer alone costs, by whatever measure a Judge has, and Choose which layers
// go back to float where all together cost too much. CorrectBias and Equalize are for where they
// lower the Error of the raw maps.
//
// Batch norms are folded first. The weights of a convolution become whole numbers, -127..127,
// times one scale for each output channel. What a convolution gives is rounded to 256 levels
// (graph.Quantize), and so is what comes out of the activation behind it, so that the
// activation is a table of 256 numbers. What is added or joined, and what pooling, upsampling
// and slices pass on, shares one scale, so that joining copies bytes. The picture's own levels
// are kept exactly: 1/255 each. Symmetric grids, for runtimes that know no others, keep neither
// these nor as much of anything else.
//
// The last convolutions, which Detect reads, stay in float with all behind them, and so do
// layers that the caller names. A float layer takes 8-bit values as they are, and its result is
// rounded again if an 8-bit layer takes it; between float layers nothing is rounded.
//
// What this gives can be trained further, with all roundings in place: package train knows it.
//
// Equalize needs two convolutions with nothing, ReLU or LeakyReLU between them. In YOLOv5 up to
// v3.0 there are such pairs. From v3.1 on there are none: Hardswish and SiLU give something else
// than the scaled result for a scaled value. Networks with convolutions that no activation follows
// have some, as of yolo/models shuffle and mobile.
//
// The package knows no files, no pictures and no engine: a Runner is what runs a network, and a
// Judge what knows how good it is.
package quant
