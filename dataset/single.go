package dataset

// Single returns the data with all classes as one, which is called item unless there was
// one already (YOLOv5's --single-cls).
func (d *Data) Single() *Data {
	if len(d.Names) == 1 {
		return d
	}
	one := func(items []Item) []Item {
		var out []Item
		for _, item := range items {
			labels := make([]Label, len(item.Labels))
			for i, l := range item.Labels {
				labels[i] = l
				labels[i].Class = 0
			}
			item.Labels = labels
			out = append(out, item)
		}
		return out
	}
	single := *d
	single.Names = []string{"item"}
	single.Train, single.Val, single.Test = one(d.Train), one(d.Val), one(d.Test)
	return &single
}
