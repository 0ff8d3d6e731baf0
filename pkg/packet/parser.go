package packet

// Parser turns packets into what a session carries, and back. A server and its
// clients must have the same one. It is safe for concurrent use.
type Parser interface {
	// Append appends p's wire form to dst and returns the extended slice. With
	// binary it is one binary message that holds p's attachments too; otherwise it
	// is a text, which p.Attachments follow as binary messages of their own. It
	// fails with ErrEncode if p has no form, and returns dst as it was.
	Append(dst []byte, p *Packet) (data []byte, binary bool, err error)
	// NewReader returns the Reader for one connection. The packets that it makes
	// satisfy Packet.Validate.
	NewReader(Limits) Reader
}

// Reader makes packets of the texts and binary messages of one peer, as a Decoder
// does. What is not exactly a packet is refused; after an error the connection
// should be closed. It must not be used concurrently.
type Reader interface {
	// Text takes a text message, without Engine.IO's digit. If it completes a packet,
	// the packet may alias text. Otherwise Binary completes it, and p is the packet
	// without its data. It fails with ErrInvalid and ErrLimit.
	Text(text []byte) (p Packet, complete bool, err error)
	// Binary takes a binary message and keeps nothing of it: a packet that is complete
	// owns its memory. It fails with ErrInvalid and ErrLimit.
	Binary(data []byte) (p Packet, complete bool, err error)
	// Pending says that binary messages are due before the next text.
	Pending() bool
}

var _ Reader = (*Decoder)(nil)
