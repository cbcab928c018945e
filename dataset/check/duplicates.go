package check

import (
	"cmp"
	"fmt"
	"slices"
)

// A seen is a picture of a split with its look.
type seen struct {
	split, path string
	look        look
}

// duplicates finds pictures that are there more than once, byte for byte or nearly, within
// a split and, what makes a validation worthless, in two of them.
func (c *check) duplicates() error {
	var all []seen
	for _, s := range c.splits {
		for _, i := range s.items {
			if l, ok := c.looks[i.Path]; ok {
				all = append(all, seen{s.name, i.Path, l})
			}
		}
	}
	var sameIn, sameAcross, nearIn, nearAcross []string
	first := make(map[[32]byte]int)
	var distinct []seen
	for i, p := range all {
		j, ok := first[p.look.file]
		if !ok {
			first[p.look.file] = i
			distinct = append(distinct, p)
			continue
		}
		if all[j].split == p.split {
			sameIn = append(sameIn, pair(all[j], p))
		} else {
			sameAcross = append(sameAcross, pair(all[j], p))
		}
	}
	near, err := nearPairs(distinct, c.o)
	if err != nil {
		return err
	}
	for _, n := range near {
		if n[0].split == n[1].split {
			nearIn = append(nearIn, pair(n[0], n[1]))
		} else {
			nearAcross = append(nearAcross, pair(n[0], n[1]))
		}
	}
	leak := "validation measures what was learnt by heart: keep each picture in one split"
	c.find(false, "leak: the same picture in two splits", leak, sameAcross)
	c.find(false, "leak: nearly the same picture in two splits", leak, nearAcross)
	c.find(false, "the same picture twice in a split", "it counts twice: delete one", sameIn)
	c.find(false, "nearly the same picture twice in a split", "they teach little: frames of one video, or copies at another size?", nearIn)
	return nil
}

func pair(a, b seen) string {
	return fmt.Sprintf("%s: %s = %s: %s", a.split, a.path, b.split, b.path)
}

// nearPairs pairs each picture with the first one before it that is near. Two hashes that
// differ in at most nearBits bits agree on one of nearBits+1 bands: only pictures that
// share a band are compared, and of those at most maxCompared.
func nearPairs(all []seen, o Options) ([][2]seen, error) {
	const (
		bands       = nearBits + 1
		width       = (64 + bands - 1) / bands
		maxCompared = 2000
	)
	var buckets [bands]map[uint64][]int
	for b := range buckets {
		buckets[b] = make(map[uint64][]int)
	}
	var out [][2]seen
	for i := range all {
		if o.Context != nil && o.Context.Err() != nil {
			return nil, o.Context.Err()
		}
		if o.Progress != nil {
			o.Progress("comparing pictures", i+1, len(all))
		}
		match := -1
		for b := range buckets {
			key := all[i].look.dhash >> (b * width) & (1<<width - 1)
			list := buckets[b][key]
			for _, j := range list[max(0, len(list)-maxCompared):] {
				if (match < 0 || j < match) && all[i].look.near(&all[j].look) {
					match = j
				}
			}
			buckets[b][key] = append(list, i)
		}
		if match >= 0 {
			out = append(out, [2]seen{all[match], all[i]})
		}
	}
	slices.SortStableFunc(out, func(a, b [2]seen) int { return cmp.Compare(a[0].path, b[0].path) })
	return out, nil
}
