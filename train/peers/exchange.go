package peers

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// Sum replaces numbers by their sums over the processes, which all get to the last bit:
// process 0 adds in the order of ranks.
func (p *Peers) Sum(numbers []float64) error {
	until := time.Now().Add(p.o.Patience)
	if p.o.Rank > 0 {
		until = until.Add(10 * time.Second) // process 0 knows who keeps all waiting, so it speaks first
	}
	all, err := p.exchange('s', floats(numbers), until, func(all [][]byte) ([]byte, error) {
		sums := make([]float64, len(numbers))
		for rank, data := range all {
			if len(data) != 8*len(sums) {
				return nil, fmt.Errorf("process %d adds %d numbers, process 0 %d", rank, len(data)/8, len(sums))
			}
			for i := range sums {
				sums[i] += math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
			}
		}
		return floats(sums), nil
	})
	if err != nil {
		return err
	}
	if len(all) != 8*len(numbers) {
		return fmt.Errorf("group: sums of %d numbers, want %d", len(all)/8, len(numbers))
	}
	for i := range numbers {
		numbers[i] = math.Float64frombits(binary.LittleEndian.Uint64(all[8*i:]))
	}
	return nil
}

func floats(numbers []float64) []byte {
	data := make([]byte, 0, 8*len(numbers))
	for _, x := range numbers {
		data = binary.LittleEndian.AppendUint64(data, math.Float64bits(x))
	}
	return data
}

// Gather gives every process the data of all, by rank. It waits as long as it takes.
func (p *Peers) Gather(data []byte) ([][]byte, error) {
	joined, err := p.exchange('g', data, time.Time{}, func(all [][]byte) ([]byte, error) {
		var joined []byte
		for _, d := range all {
			joined = binary.LittleEndian.AppendUint32(joined, uint32(len(d)))
			joined = append(joined, d...)
		}
		return joined, nil
	})
	if err != nil {
		return nil, err
	}
	all := make([][]byte, p.o.Size)
	for rank := range all {
		if len(joined) < 4 || uint64(len(joined)-4) < uint64(binary.LittleEndian.Uint32(joined)) {
			return nil, fmt.Errorf("group: what was gathered ends early")
		}
		n := binary.LittleEndian.Uint32(joined)
		all[rank], joined = joined[4:4+n], joined[4+n:]
	}
	return all, nil
}

// Broadcast gives every process the data of process 0. It waits as long as it takes.
func (p *Peers) Broadcast(data []byte) ([]byte, error) {
	if p.o.Rank > 0 {
		return p.take(p.links[0], 'b', time.Time{})
	}
	if err := p.Err(); err != nil {
		return nil, err
	}
	return data, p.give('b', data, p.links[1:])
}

// exchange takes everyone's data to process 0, and what join makes of it to everyone. It
// waits until a time, or where that is zero as long as it takes.
func (p *Peers) exchange(what byte, data []byte, until time.Time, join func([][]byte) ([]byte, error)) ([]byte, error) {
	if err := p.Err(); err != nil {
		return nil, err
	}
	if p.o.Rank > 0 {
		if err := p.give(what, data, p.links[:1]); err != nil {
			return nil, err
		}
		return p.take(p.links[0], what, until)
	}
	all := [][]byte{data}
	for _, l := range p.links[1:] {
		d, err := p.take(l, what, until)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	joined, err := join(all)
	if err != nil {
		return nil, fmt.Errorf("group: %w", err)
	}
	return joined, p.give(what, joined, p.links[1:])
}

// give sends the data of an exchange.
func (p *Peers) give(what byte, data []byte, to []*link) error {
	if len(data) >= maxFrame {
		return fmt.Errorf("group: a message of %d bytes, and there is room for %d", len(data), maxFrame-1)
	}
	for _, l := range to {
		l.send(frameData, append([]byte{what}, data...))
	}
	return nil
}

// take waits for the data of an exchange from one process.
func (p *Peers) take(l *link, what byte, until time.Time) ([]byte, error) {
	var late <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case data := <-l.data:
		return p.check(l, what, data)
	default:
	}
	select {
	case data := <-l.data:
		return p.check(l, what, data)
	case <-p.lost:
		return nil, p.err
	case <-l.done:
		// It left in good order, with its last words in the channel perhaps.
		select {
		case data := <-l.data:
			return p.check(l, what, data)
		default:
		}
		p.lose(&LostError{l.rank, p.o.Size, "has left before the end"}) // or it is lost already
		return nil, p.Err()
	case <-late:
		p.lose(&LostError{l.rank, p.o.Size, fmt.Sprintf("hangs: it is alive, and the others have waited for it for %v", p.o.Patience)})
		return nil, p.Err()
	}
}

func (p *Peers) check(l *link, what byte, data []byte) ([]byte, error) {
	if len(data) == 0 || data[0] != what {
		return nil, fmt.Errorf("group: process %d is out of step: do all run the same version with the same flags?", l.rank)
	}
	return data[1:], nil
}
