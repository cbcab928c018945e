// Package compress is the whole way from a model and data to a small model and a report: its
// stages in order (see stages.go), each of which can be stopped and goes on where it was.
//
// A run is a folder. A stage is done when its output is in place, whole, under its name;
// nothing else says so. So a run may be killed at any moment, which costs at most the epoch
// that was being trained, and what it ends with is what it would have ended with undisturbed.
//
//	state.json               what was asked for and how far it is, for people and Status
//	pictures.json            that it began with
//	log.txt                  everything that was said
//	estimate.json            the plan: trainings, what they will take, what is to come out
//	baseline/                a training, where there was no model or one of other classes
//	parent.safetensors .json what is made small, and its numbers
//	anchors.safetensors      the same with anchors that fit
//	trim.safetensors         the same without the levels that no label uses
//	latency.csv              where the target is milliseconds: what layers take on the device
//	round-1/ round-1-again/  ready.safetensors, table.csv, plan.yaml, cut.safetensors, tuned.safetensors, verdict.json
//	round-1/longer.safetensors .json, training-on/  where it lost only somewhat too much: after training on
//	check-0.json             where the target is milliseconds: those measured of what the rounds ended with
//	rounds.json              what the rounds came to
//	final/ final-back-1/     the training of what was cut; of the round before it, where that lost too much
//	scratch/ thin/           and of the two controls
//	final-trained.json …     what each of them is worth
//	ended.json               which network the child comes from
//	final.json …             what the contestants are worth
//	choice.json              which of the three is handed out
//	child.safetensors .onnx  that one
//	bf16.json                what it is worth in bfloat16, or why it was not measured
//	int8-ranges.json         what its values are, where it is to be of 8 bits
//	int8-calibrated.safetensors  the child in 8 bits with these ranges
//	int8.json                what that is worth
//	int8-trained/ .json      and after a training in 8 bits, where they had cost too much
//	child-int8.safetensors .onnx  the better of the two; int8-choice.json says that it is there
//	report.json .html        what it all came to
//	commands.txt             what to do with it
package compress
