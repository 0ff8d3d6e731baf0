package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// write replaces the pictures and tables of a page. Where they stand, and the words around
// them, are the page's own; a page that is not there gets none.
func (all results) write(file string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("growth: %w", err)
	}
	page := string(text)
	for _, c := range curves {
		if t := all[c.name]; t != nil {
			if page, err = replace(page, c.name, c.markdown(t)); err != nil {
				return err
			}
		}
	}
	if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
		return fmt.Errorf("growth: %w", err)
	}
	return nil
}

// replace puts a text between the comments that bear a name.
func replace(page, name, text string) (string, error) {
	start, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
	before, rest, ok := strings.Cut(page, start)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", fmt.Errorf("growth: the page has no place for %s", name)
	}
	return before + start + text + end + after, nil
}

// markdown is a curve's picture and table.
func (c *curve) markdown(t *table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "![%s over %s](%s.svg)\n\n", c.subjects(), c.axis, c.name)
	head, rule := "| "+c.axis, "| ---:"
	for _, f := range c.figures {
		for _, p := range c.peers {
			head += fmt.Sprintf(" | %s, %s: %s", f.title, f.unit, p.name)
			rule += " | ---:"
		}
	}
	fmt.Fprintf(&b, "%s |\n%s |\n", head, rule)
	for _, size := range c.measured(t) {
		fmt.Fprintf(&b, "| %s", c.label(size))
		for _, f := range c.figures {
			for _, p := range c.peers {
				fmt.Fprintf(&b, " | %s", t.Figures[f.key][p.name].text(size))
			}
		}
		b.WriteString(" |\n")
	}
	fmt.Fprintf(&b, "\nMeasured on %s.\n", t.Machine)
	return b.String()
}

// subjects names the figures.
func (c *curve) subjects() string {
	var titles []string
	for _, f := range c.figures {
		titles = append(titles, f.title)
	}
	return strings.Join(titles, " and ")
}
