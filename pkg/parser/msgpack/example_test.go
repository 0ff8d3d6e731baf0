package msgpack_test

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/roomcast/roomcast/pkg/packet"
	"github.com/roomcast/roomcast/pkg/parser/msgpack"
)

func ExampleParser() {
	parser := msgpack.New()
	event := packet.Packet{
		Type:        packet.Event,
		Data:        jsontext.Value(`["picture",{"_placeholder":true,"num":0}]`),
		Attachments: [][]byte{[]byte("png")},
	}
	data, binary, err := parser.Append(nil, &event)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%v %q\n", binary, data)

	reader := parser.NewReader(packet.Limits{})
	p, complete, err := reader.Binary(data)
	fmt.Println(complete, err, p.Namespace, string(p.Data), string(p.Attachments[0]))
	// Output:
	// true "\x83\xa4type\x02\xa4data\x92\xa7picture\xc4\x03png\xa3nsp\xa1/"
	// true <nil> / ["picture",{"_placeholder":true,"num":0}] png
}
