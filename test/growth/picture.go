package main

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The size of a picture, which has a panel for each figure, side by side.
const (
	panelWidth  = 4.1 * vg.Inch
	panelHeight = 2.7 * vg.Inch
)

// style is how a peer is drawn, here and on all pictures.
type style struct {
	color  color.Color
	dashes []vg.Length
	shape  draw.GlyphDrawer
}

var styles = map[string]style{
	roomcast.name: {color.RGBA{R: 0x1f, G: 0x5f, B: 0xbf, A: 0xff}, nil, draw.CircleGlyph{}},
	routed.name:   {color.RGBA{R: 0x1f, G: 0x5f, B: 0xbf, A: 0xff}, []vg.Length{vg.Points(4), vg.Points(3)}, draw.RingGlyph{}},
	socketIO.name: {color.RGBA{R: 0xd9, G: 0x6c, B: 0x0a, A: 0xff}, nil, draw.BoxGlyph{}},
}

// grey is for what is not data.
var grey = color.Gray{Y: 0xdd}

// draw draws the curves that were measured.
func (all results) draw(folder string, png bool) error {
	for _, c := range curves {
		t := all[c.name]
		if t == nil {
			continue
		}
		file := filepath.Join(folder, c.name)
		width := panelWidth * vg.Length(len(c.figures))
		svg := vgsvg.New(width, panelHeight)
		if err := c.paint(t, svg); err != nil {
			return err
		}
		if err := store(file+".svg", withFallback{svg}); err != nil {
			return err
		}
		if !png {
			continue
		}
		image := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, panelHeight), vgimg.UseDPI(150))}
		if err := errors.Join(c.paint(t, image), store(file+".png", image)); err != nil {
			return err
		}
	}
	return nil
}

// withFallback names fonts like the one that the text was set in, for machines that do not
// have it.
type withFallback struct{ svg io.WriterTo }

// WriteTo implements io.WriterTo.
func (f withFallback) WriteTo(w io.Writer) (int64, error) {
	var text bytes.Buffer
	if _, err := f.svg.WriteTo(&text); err != nil {
		return 0, err
	}
	n, err := w.Write(bytes.ReplaceAll(text.Bytes(), []byte("Liberation Sans;"), []byte("Liberation Sans,Arial,Helvetica,sans-serif;")))
	return int64(n), err
}

// store writes a picture.
func store(file string, picture io.WriterTo) (err error) {
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("growth: %w", err)
	}
	_, err = picture.WriteTo(out)
	if err = errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("growth: %s: %w", file, err)
	}
	return nil
}

// paint draws a curve's panels side by side.
func (c *curve) paint(t *table, canvas vg.CanvasSizer) error {
	row := make([]*plot.Plot, len(c.figures))
	for i, f := range c.figures {
		panel, err := c.panel(f, t)
		if err != nil {
			return err
		}
		row[i] = panel
	}
	tiles := draw.Tiles{Rows: 1, Cols: len(row), PadX: vg.Points(18), PadTop: vg.Points(6), PadBottom: vg.Points(6), PadLeft: vg.Points(6), PadRight: vg.Points(14)}
	page := draw.New(canvas)
	page.SetColor(color.White) // also where the page behind is dark
	page.Fill(page.Rectangle.Path())
	for i, at := range plot.Align([][]*plot.Plot{row}, tiles, page)[0] {
		row[i].Draw(at)
	}
	return nil
}

// panel is the plot of one figure.
func (c *curve) panel(f figure, t *table) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = f.title + ", " + f.unit
	p.X.Label.Text = c.axis
	sizes := c.measured(t)
	var most, least float64
	var lines []labelled
	for _, peer := range c.peers {
		points := c.points(t.Figures[f.key][peer.name], sizes)
		if f.log { // zero has no place there
			points = slices.DeleteFunc(points, func(at plotter.XY) bool { return at.Y <= 0 })
		}
		if len(points) == 0 {
			continue
		}
		for _, at := range points {
			most = max(most, at.Y)
			if least == 0 || at.Y < least {
				least = at.Y
			}
		}
		line, glyphs, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, fmt.Errorf("growth: %w", err)
		}
		s := styles[peer.name]
		line.Color, line.Width, line.Dashes = s.color, vg.Points(1.6), s.dashes
		glyphs.Color, glyphs.Shape, glyphs.Radius = s.color, s.shape, vg.Points(2.6)
		lines = append(lines, labelled{peer.name, points[len(points)-1].Y, line, glyphs})
	}
	c.scaleX(p, sizes)
	f.scaleY(p, least, most)
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = grey, grey
	p.Add(grid)
	// The legend has the order in which the lines end.
	slices.SortFunc(lines, func(a, b labelled) int { return int(math.Copysign(1, b.last-a.last)) })
	for _, l := range lines {
		p.Add(l.line, l.glyphs)
		p.Legend.Add(l.name, l.line, l.glyphs)
	}
	dress(p)
	return p, nil
}

// labelled is a line with what it is called in the legend.
type labelled struct {
	name   string
	last   float64 // its value at the largest size
	line   *plotter.Line
	glyphs *plotter.Scatter
}

// measured lists the sizes of which there is a figure.
func (c *curve) measured(t *table) []int {
	found := map[int]bool{}
	for _, byPeer := range t.Figures {
		for _, r := range byPeer {
			for size := range r {
				found[size] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// points are the medians.
func (c *curve) points(r runs, sizes []int) plotter.XYs {
	var all plotter.XYs
	for _, size := range sizes {
		if m, ok := r.median(size); ok {
			all = append(all, plotter.XY{X: c.place(size), Y: m})
		}
	}
	return all
}

// scaleX marks the sizes that were measured, and no others.
func (c *curve) scaleX(p *plot.Plot, sizes []int) {
	var ticks []plot.Tick
	for _, size := range sizes {
		ticks = append(ticks, plot.Tick{Value: c.place(size), Label: c.label(size)})
	}
	p.X.Tick.Marker = plot.ConstantTicks(ticks)
	first, last := ticks[0].Value, ticks[len(ticks)-1].Value
	if c.linear {
		first = 0
	}
	margin := 0.04 * (last - first)
	p.X.Min, p.X.Max = first-margin, last+margin
}

// place is where on the axis a size is. The library's own logarithmic scale keeps room for
// an axis' name at a place where it does not draw it.
func (c *curve) place(size int) float64 {
	if c.linear {
		return float64(size)
	}
	return math.Log10(float64(size))
}

// scaleY begins at zero, so that what is flat costs the same at every size; above the lines
// there is room for the legend.
func (f figure) scaleY(p *plot.Plot, least, most float64) {
	if f.log && least > 0 {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.TickerFunc(decades)
		p.Y.Min, p.Y.Max = math.Pow(10, math.Floor(math.Log10(least))), most*math.Pow(most/least, 0.3)
		return
	}
	p.Y.Tick.Marker = plot.TickerFunc(plain)
	p.Y.Min, p.Y.Max = 0, max(most, 0.01)*1.35
}

// decades marks 1, 2 and 5 of each power of ten.
func decades(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for power := math.Pow(10, math.Floor(math.Log10(low))); power <= high; power *= 10 {
		for _, v := range []float64{power, 2 * power, 5 * power} {
			if v >= low*0.999 && v <= high {
				ticks = append(ticks, plot.Tick{Value: v, Label: label(v)})
			}
		}
	}
	return ticks
}

// plain marks some round values.
func plain(low, high float64) []plot.Tick {
	const wanted = 5
	step := math.Pow(10, math.Floor(math.Log10((high-low)/wanted)))
	for _, factor := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*factor) <= wanted+1 {
			step *= factor
			break
		}
	}
	var ticks []plot.Tick
	for v := low; v <= high-0.05*(high-low); v += step { // one at the end would move the title
		ticks = append(ticks, plot.Tick{Value: v, Label: label(v)})
	}
	return ticks
}

// label writes a value of an axis.
func label(v float64) string {
	if v >= 1000 {
		return thousands(int(math.Round(v)))
	}
	return fmt.Sprintf("%.4g", v)
}

// dress gives a plot its fonts and takes away what is no data.
func dress(p *plot.Plot) {
	sans := func(size float64) font.Font {
		return font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(size)}
	}
	p.Title.TextStyle.Font, p.Title.Padding = sans(10.5), vg.Points(6)
	p.X.Label.TextStyle.Font, p.X.Tick.Label.Font, p.Y.Tick.Label.Font = sans(9), sans(8.5), sans(8.5)
	p.X.Label.Padding = vg.Points(3)
	p.X.Padding, p.Y.Padding = 0, 0
	p.X.Tick.LineStyle.Color, p.Y.Tick.LineStyle.Color = grey, grey
	p.X.Tick.Length, p.Y.Tick.Length = vg.Points(3), vg.Points(3)
	p.Y.LineStyle.Color, p.X.LineStyle.Color = grey, color.Gray{Y: 0x99}
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.TextStyle.Font = sans(9)
	p.Legend.ThumbnailWidth, p.Legend.Padding = vg.Points(24), vg.Points(2)
	p.Legend.XOffs, p.Legend.YOffs = vg.Points(6), vg.Points(-2)
}
