package ultrafast_test

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"log"
	"os"
	"sync"
	"time"

	"ultrafast"
)

// The model of the examples finds bright squares.
func exampleModel() (path string, remove func()) {
	dir, err := os.MkdirTemp("", "ultrafast")
	if err != nil {
		log.Fatal(err)
	}
	if path, err = lights(dir); err != nil {
		log.Fatal(err)
	}
	return path, func() { os.RemoveAll(dir) }
}

func Example() {
	model, remove := exampleModel()
	defer remove()

	d, err := ultrafast.Open(model, ultrafast.Options{Width: 128, Height: 96})
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()

	street := image.NewRGBA(image.Rect(0, 0, 256, 192)) // image.Decode gives one as well
	draw.Draw(street, street.Bounds(), image.Black, image.Point{}, draw.Src)
	draw.Draw(street, image.Rect(64, 64, 128, 128), image.NewUniform(color.RGBA{255, 250, 200, 255}), image.Point{}, draw.Src)

	boxes, err := d.Detect(context.Background(), street)
	if err != nil {
		log.Fatal(err)
	}
	for _, b := range boxes {
		fmt.Printf("%s %.2f at %v\n", b.Name, b.Conf, b.Rect())
	}
	// Output:
	// light 1.00 at (64,64)-(128,128)
}

// One detector serves all goroutines of a program. Here two pictures are worked on at once,
// each by half of the cores, and no caller waits longer than ten seconds for its turn.
func ExampleDetector_Detect_goroutines() {
	model, remove := exampleModel()
	defer remove()

	d, err := ultrafast.Open(model, ultrafast.Options{Width: 64, Sessions: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()

	const frames = 5
	found := make([]int, frames)
	var wg sync.WaitGroup
	for i := range frames {
		wg.Go(func() {
			frame := image.NewGray(image.Rect(0, 0, 64, 64))
			draw.Draw(frame, image.Rect(0, 0, 64, 32*(i%3)), image.White, image.Point{}, draw.Src)

			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			boxes, err := d.Detect(ctx, frame)
			if err != nil {
				log.Print(err) // context.DeadlineExceeded, if it took too long
				return
			}
			found[i] = len(boxes)
		})
	}
	wg.Wait()
	fmt.Println(found)
	// Output:
	// [0 2 4 0 2]
}

// A box is cut out of its picture with Rect, which lies in the picture's bounds.
func ExampleBox_Rect() {
	model, remove := exampleModel()
	defer remove()
	d, err := ultrafast.Open(model, ultrafast.Options{Width: 64})
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()

	img := image.NewGray(image.Rect(100, 100, 164, 164))
	draw.Draw(img, image.Rect(132, 100, 164, 132), image.White, image.Point{}, draw.Src)
	boxes, err := d.Detect(context.Background(), img)
	if err != nil {
		log.Fatal(err)
	}
	for _, b := range boxes {
		part := img.SubImage(b.Rect())
		fmt.Println(part.Bounds(), part.At(132, 100))
	}
	// Output:
	// (132,100)-(164,132) {255}
}
