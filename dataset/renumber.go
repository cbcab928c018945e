package dataset

import "slices"

// Renumber returns the data with other classes: to has for each that d names its number among
// names. The labels of d are not changed.
func (d *Data) Renumber(names []string, to []int) *Data {
	other := *d
	other.Names = slices.Clone(names)
	for _, items := range []*[]Item{&other.Train, &other.Val, &other.Test} {
		*items = slices.Clone(*items)
		for i := range *items {
			item := &(*items)[i]
			item.Labels = slices.Clone(item.Labels)
			for k := range item.Labels {
				item.Labels[k].Class = to[item.Labels[k].Class]
			}
		}
	}
	return &other
}

// Single returns the data with all classes as one, which is called item unless there was
// one already (YOLOv5's --single-cls).
func (d *Data) Single() *Data {
	if len(d.Names) == 1 {
		return d
	}
	return d.Renumber([]string{"item"}, make([]int, len(d.Names)))
}
