package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
)

// results are what was measured, by the name of the curve.
type results map[string]*table

// table is what was measured of a curve.
type table struct {
	// Machine is where.
	Machine string `json:"machine"`
	// Figures has the runs by figure and peer.
	Figures map[string]map[string]runs `json:"figures"`
}

// runs are the values of each size, one of each round.
type runs map[int][]float64

// adder returns how a pass of a peer adds its figures.
func (t *table) adder(peer string) func(figure string, size int, value float64) {
	return func(figure string, size int, value float64) {
		if t.Figures[figure] == nil {
			t.Figures[figure] = map[string]runs{}
		}
		if t.Figures[figure][peer] == nil {
			t.Figures[figure][peer] = runs{}
		}
		r := t.Figures[figure][peer]
		r[size] = append(r[size], round(value))
	}
}

// round keeps four digits; the fifth is noise.
func round(v float64) float64 {
	short, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	return short
}

// median returns the median of a size's runs, and whether there are any.
func (r runs) median(size int) (float64, bool) {
	all := slices.Sorted(slices.Values(r[size]))
	if len(all) == 0 {
		return 0, false
	}
	middle := len(all) / 2
	if len(all)%2 == 1 {
		return all[middle], true
	}
	return (all[middle-1] + all[middle]) / 2, true
}

// text is a size's median with what it lies between.
func (r runs) text(size int) string {
	m, ok := r.median(size)
	if !ok {
		return "–"
	}
	if len(r[size]) == 1 {
		return digits(m)
	}
	return fmt.Sprintf("%s (%s–%s)", digits(m), digits(slices.Min(r[size])), digits(slices.Max(r[size])))
}

// digits writes three digits of a value, and all of those before the point.
func digits(v float64) string {
	if v >= 1000 {
		return thousands(int(math.Round(v)))
	}
	return strconv.FormatFloat(v, 'f', max(0, 2-int(math.Floor(math.Log10(max(math.Abs(v), 1))))), 64)
}

// loadResults reads what was measured before; nothing when there is no file.
func loadResults(file string) (results, error) {
	all := results{}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("growth: %s: %w", file, err)
	}
	return all, nil
}

func (all results) save(file string) error {
	text, err := json.MarshalIndent(all, "", " ")
	if err == nil {
		err = os.WriteFile(file, append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("growth: %w", err)
	}
	return nil
}
