package convert

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
)

// yolo writes images/SPLIT and labels/SPLIT, and at last data.yaml. Every picture has a
// label file, empty for a background.
func (w *writer) yolo() (func(*entry) error, func() error) {
	made := false
	one := func(e *entry) error {
		if !made {
			made = true
			for _, s := range w.splits {
				if err := w.folders("images/"+s, "labels/"+s); err != nil {
					return err
				}
			}
		}
		var text strings.Builder
		for _, l := range e.Labels {
			fmt.Fprintf(&text, "%d %s %s %s %s\n", l.Class, fraction(l.CX), fraction(l.CY), fraction(l.W), fraction(l.H))
		}
		if err := w.write(text.String(), "labels", e.split, e.name+".txt"); err != nil {
			return err
		}
		return w.picture(e, "images", e.split, e.file())
	}
	finish := func() error {
		var text strings.Builder
		for _, s := range w.splits {
			fmt.Fprintf(&text, "%s: images/%s\n", s, s)
		}
		fmt.Fprintf(&text, "nc: %d\nnames:\n", len(w.names))
		for i, name := range w.names {
			quoted, err := json.Marshal(name) // JSON's strings are YAML's
			if err != nil {
				return err
			}
			fmt.Fprintf(&text, "  %d: %s\n", i, quoted)
		}
		return w.write(text.String(), "data.yaml")
	}
	return one, finish
}

// fraction writes the shortest number that is read as the same float32.
func fraction(v float32) string { return strconv.FormatFloat(float64(v), 'f', -1, 32) }

// An annotation is Pascal VOC's file of a picture.
type annotation struct {
	XMLName  xml.Name `xml:"annotation"`
	Folder   string   `xml:"folder"`
	Filename string   `xml:"filename"`
	Size     struct {
		Width  int `xml:"width"`
		Height int `xml:"height"`
		Depth  int `xml:"depth"`
	} `xml:"size"`
	Segmented int      `xml:"segmented"`
	Objects   []object `xml:"object"`
}

type object struct {
	Name      string `xml:"name"`
	Pose      string `xml:"pose"`
	Truncated int    `xml:"truncated"`
	Difficult int    `xml:"difficult"`
	XMin      string `xml:"bndbox>xmin"`
	YMin      string `xml:"bndbox>ymin"`
	XMax      string `xml:"bndbox>xmax"`
	YMax      string `xml:"bndbox>ymax"`
}

// voc writes JPEGImages, Annotations, ImageSets/Main and classes.txt, which keeps the order
// of the classes. The first pixel is 1, and the last one belongs to the box.
func (w *writer) voc() (func(*entry) error, func() error) {
	lists := make(map[string]*strings.Builder)
	one := func(e *entry) error {
		if len(lists) == 0 {
			if err := w.folders("JPEGImages", "Annotations", "ImageSets/Main"); err != nil {
				return err
			}
		}
		if lists[e.split] == nil {
			lists[e.split] = &strings.Builder{}
		}
		fmt.Fprintln(lists[e.split], e.name)
		a := annotation{Folder: "JPEGImages", Filename: e.file()}
		a.Size.Width, a.Size.Height, a.Size.Depth = e.W, e.H, 3
		for _, l := range e.Labels {
			x1, y1, x2, y2 := e.edges(l)
			a.Objects = append(a.Objects, object{Name: w.names[l.Class], Pose: "Unspecified",
				XMin: pixel(x1 + 1), YMin: pixel(y1 + 1), XMax: pixel(x2), YMax: pixel(y2)})
		}
		text, err := xml.MarshalIndent(a, "", "\t")
		if err != nil {
			return err
		}
		if err := w.write(string(text)+"\n", "Annotations", e.name+".xml"); err != nil {
			return err
		}
		return w.picture(e, "JPEGImages", e.file())
	}
	finish := func() error {
		for split, text := range lists {
			if err := w.write(text.String(), "ImageSets", "Main", split+".txt"); err != nil {
				return err
			}
		}
		return w.write(strings.Join(w.names, "\n")+"\n", "classes.txt")
	}
	return one, finish
}

type cocoImage struct {
	ID     int    `json:"id"`
	File   string `json:"file_name"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
}

type cocoAnnotation struct {
	ID       int            `json:"id"`
	Image    int            `json:"image_id"`
	Category int            `json:"category_id"`
	Box      [4]json.Number `json:"bbox"`
	Area     json.Number    `json:"area"`
	Crowd    int            `json:"iscrowd"`
	Outline  [0]int         `json:"segmentation"`
}

type category struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

type instances struct {
	Images      []cocoImage      `json:"images"`
	Annotations []cocoAnnotation `json:"annotations"`
	Categories  []category       `json:"categories"`
}

// coco writes images/SPLIT and annotations/instances_SPLIT.json. Ids count from 1.
func (w *writer) coco() (func(*entry) error, func() error) {
	sets := make(map[string]*instances)
	one := func(e *entry) error {
		set := sets[e.split]
		if set == nil {
			set = &instances{Annotations: []cocoAnnotation{}}
			for i, name := range w.names {
				set.Categories = append(set.Categories, category{i + 1, name})
			}
			sets[e.split] = set
			if err := w.folders("annotations", "images/"+e.split); err != nil {
				return err
			}
		}
		id := len(set.Images) + 1
		set.Images = append(set.Images, cocoImage{id, e.file(), e.W, e.H})
		for _, l := range e.Labels {
			x1, y1, x2, y2 := e.edges(l)
			set.Annotations = append(set.Annotations, cocoAnnotation{ID: len(set.Annotations) + 1, Image: id, Category: l.Class + 1,
				Box:  [4]json.Number{json.Number(pixel(x1)), json.Number(pixel(y1)), json.Number(pixel(x2 - x1)), json.Number(pixel(y2 - y1))},
				Area: json.Number(pixel((x2 - x1) * (y2 - y1)))})
		}
		return w.picture(e, "images", e.split, e.file())
	}
	finish := func() error {
		for split, set := range sets {
			text, err := json.Marshal(set)
			if err != nil {
				return err
			}
			if err := w.write(string(text)+"\n", "annotations", "instances_"+split+".json"); err != nil {
				return err
			}
		}
		return nil
	}
	return one, finish
}
