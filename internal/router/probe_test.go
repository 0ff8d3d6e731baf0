package router

import (
	"bytes"
	"testing"
)

func TestProbe_IsOverBehindTheFirstFrame(t *testing.T) {
	for name, frame := range map[string][]byte{
		"as the official clients send it": append([]byte{0x81, 0x80 | 6}, "maskprobe!"...),
		"compressed":                      append([]byte{0xc1, 0x80 | 8}, "maskcompress"...),
		"with nothing in it":              append([]byte{0x81, 0x80}, "mask"...),
	} {
		t.Run(name, func(t *testing.T) {
			var p probe
			p.sent(nil)
			p.sent(frame)
			if p.over.Load() {
				t.Error("over with the first frame")
			}
			p.sent([]byte{0x81})
			if !p.over.Load() {
				t.Error("not over with the next one")
			}
		})
		t.Run(name+", byte for byte", func(t *testing.T) {
			var p probe
			for i := range frame {
				p.sent(frame[i : i+1])
				if p.over.Load() {
					t.Fatalf("over with byte %d", i)
				}
			}
			p.sent(frame[:1])
			if !p.over.Load() {
				t.Error("not over with the next frame")
			}
		})
		t.Run(name+", with the next in one piece", func(t *testing.T) {
			var p probe
			p.sent(append(bytes.Clone(frame), 0x81))
			if !p.over.Load() {
				t.Error("not over")
			}
		})
	}
}
