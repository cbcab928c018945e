package main

import (
	"runtime"
	"sync"
	"sync/atomic"

	"ultrafast/detect"
	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/tensor"
	"ultrafast/train"
	"ultrafast/yolo"
)

// A predictor runs batches of any shape. Its pictures are shared out among networks that
// have a core or more each: nothing but the end of a batch makes one wait for another.
type predictor struct {
	raw       *graph.Graph
	compile   detect.Compiler
	precision string
	nets      map[[2]int][]detect.Network // by height and width
}

// mostNetworks bounds the memory that predicting takes on machines of many cores.
const mostNetworks = 8

// newPredictor runs g up to the raw maps of the head that it returns.
func newPredictor(g *graph.Graph, compile detect.Compiler, precision string) (*predictor, *graph.Detect, error) {
	raw, head, err := yolo.Raw(g)
	return &predictor{raw, compile, precision, map[[2]int][]detect.Network{}}, head, err
}

// enginePredictor is the train.Predictor that validates while training. It computes in
// fp32, whatever the training does, as the model will most often be used.
func enginePredictor(g *graph.Graph) (train.Predict, error) { return predictorIn(engine.FP32)(g) }

// predictorIn is enginePredictor in another precision.
func predictorIn(precision string) func(g *graph.Graph) (train.Predict, error) {
	return func(g *graph.Graph) (train.Predict, error) {
		p, _, err := newPredictor(g, detect.Native, precision)
		return p.predict, err
	}
}

func (p *predictor) predict(x *tensor.Tensor) ([]*tensor.Tensor, error) {
	pictures := x.Shape[0]
	nets, err := p.networks(x.Shape[2], x.Shape[3])
	if err != nil {
		return nil, err
	}
	results := make([][]*tensor.Tensor, pictures)
	errs := make([]error, min(len(nets), pictures))
	var next atomic.Int64
	var wg sync.WaitGroup
	for k := range errs {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < pictures && errs[k] == nil; i = int(next.Add(1)) - 1 {
				results[i], errs[k] = runOne(nets[k], x, i)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return joined(results), nil
}

// networks returns those for a height and width, of which there may be several at once.
func (p *predictor) networks(height, width int) ([]detect.Network, error) {
	size := [2]int{height, width}
	if nets := p.nets[size]; nets != nil {
		return nets, nil
	}
	cores := runtime.GOMAXPROCS(0)
	count := min(cores, mostNetworks)
	connect, err := p.compile(p.raw, detect.Options{Height: height, Width: width, Precision: p.precision, Threads: cores / count})
	if err != nil {
		return nil, err
	}
	for range count {
		net, err := connect()
		if err != nil {
			return nil, err
		}
		p.nets[size] = append(p.nets[size], net)
	}
	return p.nets[size], nil
}

// runOne runs picture i of x and copies its maps, which the network's next run overwrites.
func runOne(net detect.Network, x *tensor.Tensor, i int) ([]*tensor.Tensor, error) {
	shape := append([]int{1}, x.Shape[1:]...)
	size := x.Len() / x.Shape[0]
	one, err := tensor.From(x.Data[i*size:(i+1)*size], shape...)
	if err != nil {
		return nil, err
	}
	maps, err := net.Run(one)
	if err != nil {
		return nil, err
	}
	own := make([]*tensor.Tensor, len(maps))
	for k, m := range maps {
		own[k] = m.Clone()
	}
	return own, nil
}

// joined makes batches of the maps of single pictures.
func joined(pictures [][]*tensor.Tensor) []*tensor.Tensor {
	var all []*tensor.Tensor
	for k, m := range pictures[0] {
		t := tensor.New(append([]int{len(pictures)}, m.Shape[1:]...)...)
		for i, maps := range pictures {
			copy(t.Data[i*m.Len():], maps[k].Data)
		}
		all = append(all, t)
	}
	return all
}
