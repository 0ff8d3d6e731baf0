package main

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// The tags by which a flag says what it allows, beside those of kong.
const (
	tagMin     = "min"     // the least number or duration
	tagMax     = "max"     // the largest one
	tagAllowed = "allowed" // the words that may be given, with commas between them
	tagForm    = "form"    // the name of one of the forms
	tagSecret  = "secret"  // all: the value is shown nowhere; url: but for its password
	tagNeeds   = "needs"   // the flag without which this one has no effect
	tagFor     = "for"     // the adapters for which this one has an effect
)

// settings are the flags of the command that was chosen, and where their values come from.
type settings struct {
	flags  []*kong.Flag
	onLine map[string]bool // the names of those that the command line has
}

func settingsOf(c *kong.Context) settings {
	s := settings{onLine: make(map[string]bool)}
	for _, path := range c.Path {
		if path.Flag != nil {
			s.onLine[path.Flag.Name] = true
		}
	}
	for _, flag := range c.Flags() {
		if len(flag.Tag.Envs) > 0 { // --help has none
			s.flags = append(s.flags, flag)
		}
	}
	return s
}

// find returns the flag of a name, which exists.
func (s settings) find(name string) *kong.Flag {
	i := slices.IndexFunc(s.flags, func(f *kong.Flag) bool { return f.Name == name })
	return s.flags[i]
}

// fromEnvironment says whether a flag has its value from the environment.
func (s settings) fromEnvironment(flag *kong.Flag) bool {
	_, set := os.LookupEnv(flag.Tag.Envs[0])
	return set && !s.onLine[flag.Name]
}

// given says whether a flag was asked for: by a value that is more than nothing.
func (s settings) given(flag *kong.Flag) bool {
	return (s.onLine[flag.Name] || s.fromEnvironment(flag)) && !flag.Target.IsZero()
}

// name is what the operator has written: the flag, or its variable.
func (s settings) name(flag *kong.Flag) string {
	if s.fromEnvironment(flag) {
		return flag.Tag.Envs[0]
	}
	return "--" + flag.Name
}

// check refuses the first value that is not allowed.
func (s settings) check() error {
	for _, flag := range s.flags {
		if !s.onLine[flag.Name] && !s.fromEnvironment(flag) {
			continue
		}
		if err := allowed(flag); err != nil {
			return fmt.Errorf("%s %w", s.written(flag), err)
		}
	}
	for _, flag := range s.flags {
		if needed := flag.Tag.Get(tagNeeds); needed != "" && s.given(flag) && s.find(needed).Target.IsZero() {
			return fmt.Errorf("%s needs --%s: without it there is nothing that it changes", s.name(flag), needed)
		}
	}
	return nil
}

// checkAdapter refuses the flags that have no effect on the adapter.
func (s settings) checkAdapter(adapter string) error {
	for _, flag := range s.flags {
		adapters := split(flag.Tag.Get(tagFor))
		if len(adapters) > 0 && !slices.Contains(adapters, adapter) && s.given(flag) {
			return fmt.Errorf("%s is for %s, not for --adapter %s", s.name(flag), adaptersText(adapters), adapter)
		}
	}
	return nil
}

// excludes refuses two flags that cannot be had together.
func (s settings) excludes(one, other, why string) error {
	a, b := s.find(one), s.find(other)
	if !s.given(a) || !s.given(b) {
		return nil
	}
	return fmt.Errorf("%s and %s exclude each other%s", s.name(a), s.name(b), why)
}

// written is a flag with its value, as in "--nodes 0".
func (s settings) written(flag *kong.Flag) string {
	if flag.Tag.Has(tagSecret) {
		return s.name(flag)
	}
	separator := " "
	if s.fromEnvironment(flag) {
		separator = "="
	}
	text := shown(flag)
	if text == "" || strings.Contains(text, " ") {
		text = strconv.Quote(text)
	}
	return s.name(flag) + separator + text
}

// allowed fails for a value that the flag's tags do not allow.
func allowed(flag *kong.Flag) error {
	if words := split(flag.Tag.Get(tagAllowed)); len(words) > 0 {
		for _, word := range wordsOf(flag.Target) {
			if !slices.Contains(words, word) && (word != "" || flag.HasDefault) {
				return fmt.Errorf("must be %s", oneOf(words))
			}
		}
	}
	if flag.Tag.Has(tagMin) || flag.Tag.Has(tagMax) {
		if err := inRange(flag.Target, flag.Tag.Get(tagMin), flag.Tag.Get(tagMax)); err != nil {
			return err
		}
	}
	if name := flag.Tag.Get(tagForm); name != "" && !flag.Target.IsZero() {
		return forms[name](flag.Target.String())
	}
	return nil
}

// wordsOf are the words that a flag holds: one, or several.
func wordsOf(v reflect.Value) []string {
	if words, several := v.Interface().([]string); several {
		return words
	}
	return []string{v.String()}
}

// inRange fails for a number or a duration that is less than least or more than most,
// where these are not empty.
func inRange(v reflect.Value, least, most string) error {
	value := v.Int()
	switch tooLittle, tooMuch := least != "" && value < bound(v, least), most != "" && value > bound(v, most); {
	case !tooLittle && !tooMuch:
		return nil
	case least == "":
		return fmt.Errorf("must be at most %s", most)
	case most == "":
		return fmt.Errorf("must be at least %s", least)
	}
	return fmt.Errorf("must be between %s and %s", least, most)
}

// bound is a bound of v in its unit. It was written here, so that it can be read.
func bound(v reflect.Value, text string) int64 {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d, _ := time.ParseDuration(text)
		return int64(d)
	}
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// shown is a flag's value as text, without its secrets.
func shown(flag *kong.Flag) string {
	switch v := flag.Target.Interface().(type) {
	case []string:
		return strings.Join(v, ",")
	case string:
		switch {
		case v == "" || !flag.Tag.Has(tagSecret):
			return v
		case flag.Tag.Get(tagSecret) == "url":
			return withoutPassword(v)
		}
		return hidden
	default:
		return fmt.Sprint(v)
	}
}

// oneOf is a list of words as a person would say it.
func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// adaptersText names adapters as the help does.
func adaptersText(adapters []string) string {
	if len(adapters) == 1 {
		return "--adapter " + adapters[0]
	}
	return "the adapters " + strings.Replace(oneOf(adapters), " or ", " and ", 1)
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// checked is a command that has something to refuse beside single values.
type checked interface{ check(settings) error }

// check refuses, before anything starts, what cannot be carried out.
func check(c *kong.Context) error {
	s := settingsOf(c)
	if err := s.check(); err != nil {
		return err
	}
	if command, ok := c.Selected().Target.Addr().Interface().(checked); ok {
		return command.check(s)
	}
	return nil
}
