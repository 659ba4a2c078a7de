package cms

import "math"

// Limits bound what a reader takes. The zero value stands for 1 MiB, 16,384
// elements and a depth of 32.
type Limits struct {
	Size     int // octets of the whole message
	Elements int // tags in it, those inside of OCTET STRINGs not counted
	Depth    int // elements within elements
}

func (l Limits) withDefaults() Limits {
	if l.Size <= 0 {
		l.Size = 1 << 20
	}
	if l.Elements <= 0 {
		l.Elements = 1 << 14
	}
	if l.Depth <= 0 {
		l.Depth = 32
	}
	return l
}

const (
	constructed       = 0x20
	octetString       = 0x04
	numberInMoreBytes = 0x1f // a tag number above 30 follows
)

// DER turns one BER element (X.690 section 8) into DER where CMS senders stray
// from it: indefinite lengths, lengths in more octets than they need, OCTET
// STRINGs in pieces. The contents of primitive elements stay as they are. What
// needs no change is returned itself, without a copy. Octets after the element
// are ErrSyntax, and so is what goes over the limits.
//
// The work is two passes over the input, whatever it holds.
func DER(ber []byte, limits Limits) ([]byte, error) {
	limits = limits.withDefaults()
	if len(ber) > limits.Size {
		return nil, syntaxf("%d octets, more than %d", len(ber), limits.Size)
	}
	n := normalizer{in: ber, limits: limits}
	end, size, err := n.measure(0, len(ber), 1)
	switch {
	case err != nil:
		return nil, err
	case end != len(ber):
		return nil, syntaxf("%d octets after the end", len(ber)-end)
	case !n.changed:
		return ber, nil
	}
	out, _ := n.write(make([]byte, 0, size), 0, len(ber), false)
	return out, nil
}

// normalizer measures every element first, so that the second pass knows the
// lengths it has to write.
type normalizer struct {
	in      []byte
	limits  Limits
	sizes   []int // the content of each element as DER, in the order they start
	written int   // how many of sizes the second pass has used
	changed bool
}

// header is what stands before the content of an element.
type header struct {
	tag        byte
	size       int // octets of the header itself
	length     int // octets of content; not for indefinite lengths
	indefinite bool
	minimal    bool
}

// header reads the one at pos; its content ends at end or before.
func (n *normalizer) header(pos, end int) (header, error) {
	in := n.in[pos:end]
	if len(in) < 2 {
		return header{}, syntaxf("truncated at octet %d", pos)
	}
	h := header{tag: in[0], size: 2, length: int(in[1]), minimal: true}
	switch {
	case h.tag&numberInMoreBytes == numberInMoreBytes:
		return header{}, syntaxf("a tag number above 30 at octet %d", pos)
	case h.tag == 0:
		return header{}, syntaxf("end-of-contents out of place at octet %d", pos)
	case in[1] == 0x80: // X.690 section 8.1.3.6
		if h.tag&constructed == 0 {
			return header{}, syntaxf("a primitive element of indefinite length at octet %d", pos)
		}
		h.indefinite, h.length = true, 0
		return h, nil
	case in[1] > 0x80:
		octets := int(in[1] & 0x7f)
		if len(in) < 2+octets {
			return header{}, syntaxf("truncated at octet %d", pos)
		}
		h.size, h.length = 2+octets, 0
		for _, b := range in[2:h.size] {
			if h.length > math.MaxInt32>>8 {
				return header{}, syntaxf("a length beyond the message at octet %d", pos)
			}
			h.length = h.length<<8 | int(b)
		}
		h.minimal = in[2] != 0 && h.length >= 0x80
	}
	if h.length > len(in)-h.size {
		return header{}, syntaxf("a length beyond the message at octet %d", pos)
	}
	return h, nil
}

// closed tells whether the content of an element ends at pos, and what comes
// after it: for an indefinite length, end-of-contents octets do.
func (n *normalizer) closed(h header, pos, stop int) (after int, ok bool) {
	if !h.indefinite {
		return pos, pos == stop
	}
	return pos + 2, stop-pos >= 2 && n.in[pos] == 0 && n.in[pos+1] == 0
}

// stop is where the content of an element ends at the latest.
func (h header) stop(pos, end int) int {
	if h.indefinite {
		return end
	}
	return pos + h.size + h.length
}

// measure gives the end of the element at pos and its length as DER.
func (n *normalizer) measure(pos, end, depth int) (after, size int, err error) {
	h, err := n.header(pos, end)
	if err != nil {
		return 0, 0, err
	}
	if depth > n.limits.Depth {
		return 0, 0, syntaxf("more than %d elements within each other", n.limits.Depth)
	}
	if len(n.sizes) >= n.limits.Elements {
		return 0, 0, syntaxf("more than %d elements", n.limits.Elements)
	}
	index := len(n.sizes)
	n.sizes = append(n.sizes, h.length)
	if h.indefinite || !h.minimal {
		n.changed = true
	}
	after = h.stop(pos, end)
	if h.tag&constructed != 0 {
		var content int
		if after, content, err = n.measureAll(h, pos, end, depth); err != nil {
			return 0, 0, err
		}
		n.sizes[index] = content
	}
	return after, lengthOf(n.sizes[index]) + n.sizes[index], nil
}

// measureAll measures what is in a constructed element.
func (n *normalizer) measureAll(h header, pos, end, depth int) (after, content int, err error) {
	pieces := h.tag == octetString|constructed // X.690 section 8.7.3
	switch {
	case pieces:
		n.changed = true
	case h.tag < 0x40 && notString(h.tag&^constructed):
	case h.tag < 0x40:
		return 0, 0, syntaxf("a string of type %d in pieces at octet %d", h.tag&^constructed, pos)
	}
	at, stop := pos+h.size, h.stop(pos, end)
	for {
		if after, ok := n.closed(h, at, stop); ok {
			return after, content, nil
		}
		if pieces && at < stop && n.in[at]&^constructed != octetString {
			return 0, 0, syntaxf("an OCTET STRING in pieces of other types at octet %d", at)
		}
		index := len(n.sizes)
		var size int
		if at, size, err = n.measure(at, stop, depth+1); err != nil {
			return 0, 0, err
		}
		if pieces {
			size = n.sizes[index]
		}
		content += size
	}
}

// notString: SEQUENCE, SET, EXTERNAL and EMBEDDED PDV are always constructed.
func notString(universal byte) bool {
	return universal == 0x10 || universal == 0x11 || universal == 0x08 || universal == 0x0b
}

// write appends the element at pos as DER, or its content alone, and gives its
// end. It was measured: nothing can fail.
func (n *normalizer) write(out []byte, pos, end int, contentOnly bool) ([]byte, int) {
	h, _ := n.header(pos, end)
	size := n.sizes[n.written]
	n.written++
	pieces := h.tag == octetString|constructed
	if !contentOnly {
		tag := h.tag
		if pieces {
			tag = octetString
		}
		out = appendLength(append(out, tag), size)
	}
	at, stop := pos+h.size, h.stop(pos, end)
	if h.tag&constructed == 0 {
		return append(out, n.in[at:stop]...), stop
	}
	for {
		if after, ok := n.closed(h, at, stop); ok {
			return out, after
		}
		out, at = n.write(out, at, stop, pieces)
	}
}

// lengthOf is the octets of tag and length before content of that size.
func lengthOf(content int) int {
	if content < 0x80 {
		return 2
	}
	octets := 0
	for ; content > 0; content >>= 8 {
		octets++
	}
	return 2 + octets
}

// appendLength appends the length octets of X.690 section 10.1.
func appendLength(out []byte, content int) []byte {
	if content < 0x80 {
		return append(out, byte(content))
	}
	octets := lengthOf(content) - 2
	out = append(out, 0x80|byte(octets))
	for i := octets - 1; i >= 0; i-- {
		out = append(out, byte(content>>(8*i)))
	}
	return out
}
