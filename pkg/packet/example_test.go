package packet_test

import (
	"fmt"

	"github.com/roomcast/roomcast/pkg/packet"
)

func ExampleMarshalEvent() {
	data, attachments, err := packet.MarshalEvent("picture", "cat.png", []byte{0x89, 'P', 'N', 'G'})
	if err != nil {
		fmt.Println(err)
		return
	}
	p := packet.Packet{Type: packet.Event, Namespace: "/gallery", Data: data, Attachments: attachments}
	fmt.Printf("%s\n", p.AppendText(nil))
	fmt.Printf("%x\n", p.Attachments[0])
	// Output:
	// 51-/gallery,["picture","cat.png",{"_placeholder":true,"num":0}]
	// 89504e47
}

func ExampleDecoder() {
	d := packet.NewDecoder(packet.Limits{})
	_, complete, err := d.Text([]byte(`51-12["picture",{"name":"cat.png","data":{"_placeholder":true,"num":0}}]`))
	fmt.Println(complete, err)
	p, complete, err := d.Binary([]byte("PNG"))
	fmt.Println(complete, err)

	name, _ := packet.EventName(p.Data)
	args, err := p.Args()
	if err != nil {
		fmt.Println(err)
		return
	}
	var picture struct {
		Name string `json:"name"`
		Data []byte `json:"data"`
	}
	if err := args[0].Decode(&picture); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s wants answer %d: %s, %s\n", name, p.ID, picture.Name, picture.Data)
	// Output:
	// false <nil>
	// true <nil>
	// picture wants answer 12: cat.png, PNG
}

func ExampleMarshalArgs() {
	data, _, err := packet.MarshalArgs("ok", map[string]int{"rows": 3})
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := packet.Packet{Type: packet.Ack, ID: 12, HasID: true, Data: data}
	fmt.Printf("%s\n", answer.AppendText(nil))
	// Output: 312["ok",{"rows":3}]
}

func ExampleRaw() {
	received := packet.Packet{Type: packet.Event, Data: []byte(`["say",{"text": "hi"}]`)}
	args, err := received.Args()
	if err != nil {
		fmt.Println(err)
		return
	}
	data, _, err := packet.MarshalEvent("said", "alice", args[0])
	fmt.Printf("%s %v\n", data, err)
	// Output: ["said","alice",{"text":"hi"}] <nil>
}

func ExampleUnmarshal() {
	var v any
	err := packet.Unmarshal([]byte(`[1,{"_placeholder":true,"num":0}]`), [][]byte{[]byte("bytes")}, &v)
	fmt.Printf("%s %v\n", v.([]any)[1], err)
	// Output: bytes <nil>
}
