package detect

import (
	"fmt"
	"slices"

	"ultrafast/box"
	"ultrafast/picture"
)

// Draw marks boxes on a picture with class names and confidences, the most confident on
// top. Names may be shorter than the classes; what is missing is a number.
func Draw(p *picture.RGB, found []box.Box, names []string) {
	for _, b := range slices.Backward(found) {
		p.DrawBox(b.X1, b.Y1, b.X2, b.Y2, fmt.Sprintf("%s %.2f", Name(names, b.Class), b.Conf), picture.Color(b.Class))
	}
}

// Name returns the name of a class, its number where it has none.
func Name(names []string, class int) string {
	if class >= 0 && class < len(names) {
		return names[class]
	}
	return fmt.Sprint(class)
}
