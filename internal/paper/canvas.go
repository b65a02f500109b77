package paper

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// Colours of pictures.
var (
	Ink  = color.RGBA{27, 31, 36, 255}
	Soft = color.RGBA{89, 98, 109, 255}
	Rule = color.RGBA{217, 222, 228, 255}
	Good = color.RGBA{26, 127, 69, 255}
	Bad  = color.RGBA{179, 38, 30, 255}
	Warn = color.RGBA{138, 90, 0, 255}
	Mark = color.RGBA{36, 86, 166, 255}
)

// fine is how many dots of the picture a unit has.
const fine = 3

// Canvas is a picture that is being drawn, in units of its own.
type Canvas struct {
	img  *image.RGBA
	face font.Face
	err  error
}

// NewCanvas is an empty picture of a size in units.
func NewCanvas(width, height int) *Canvas {
	c := &Canvas{img: image.NewRGBA(image.Rect(0, 0, width*fine, height*fine))}
	draw.Draw(c.img, c.img.Bounds(), image.White, image.Point{}, draw.Src)
	f, err := opentype.Parse(goregular.TTF)
	if err == nil {
		c.face, err = opentype.NewFace(f, &opentype.FaceOptions{Size: 11 * fine, DPI: 72, Hinting: font.HintingNone})
	}
	if err != nil {
		c.err = fmt.Errorf("load the font of a picture: %w", err)
	}
	return c
}

// Rect fills a rectangle.
func (c *Canvas) Rect(x, y, w, h float64, with color.RGBA) {
	r := image.Rect(int(x*fine), int(y*fine), int(math.Ceil((x+w)*fine)), int(math.Ceil((y+h)*fine)))
	draw.Draw(c.img, r, image.NewUniform(with), image.Point{}, draw.Over)
}

// Dot fills a circle.
func (c *Canvas) Dot(x, y, radius float64, with color.RGBA) {
	cx, cy, r := x*fine, y*fine, radius*fine
	for py := int(cy - r - 1); py <= int(cy+r+1); py++ {
		for px := int(cx - r - 1); px <= int(cx+r+1); px++ {
			d := math.Hypot(float64(px)+0.5-cx, float64(py)+0.5-cy)
			if a := min(max(r-d+0.5, 0), 1); a > 0 && image.Pt(px, py).In(c.img.Bounds()) {
				old := c.img.RGBAAt(px, py)
				mix := func(n, o uint8) uint8 { return uint8(float64(n)*a + float64(o)*(1-a)) }
				c.img.SetRGBA(px, py, color.RGBA{mix(with.R, old.R), mix(with.G, old.G), mix(with.B, old.B), 255})
			}
		}
	}
}

// Text writes a line with its baseline at y. at is where x is in it: 0 its
// beginning, 0.5 its middle, 1 its end.
func (c *Canvas) Text(x, y, at float64, s string, with color.RGBA) {
	if c.err != nil {
		return
	}
	s = plain(s)
	d := font.Drawer{Dst: c.img, Src: image.NewUniform(with), Face: c.face}
	w := float64(d.MeasureString(s)) / 64
	d.Dot = fixed.Point26_6{X: fixed.Int26_6((x*fine - w*at) * 64), Y: fixed.Int26_6(y * fine * 64)}
	d.DrawString(s)
}

// Width is how wide a line would be, in units.
func (c *Canvas) Width(s string) float64 {
	if c.err != nil {
		return 0
	}
	return float64(font.MeasureString(c.face, plain(s))) / 64 / fine
}

// PNG is the picture.
func (c *Canvas) PNG() ([]byte, error) {
	if c.err != nil {
		return nil, c.err
	}
	var b bytes.Buffer
	if err := png.Encode(&b, c.img); err != nil {
		return nil, fmt.Errorf("write a picture: %w", err)
	}
	return b.Bytes(), nil
}
