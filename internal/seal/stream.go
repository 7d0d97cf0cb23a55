package seal

import (
	"bufio"
	"bytes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"

	"rekey/internal/fault"
)

// wrappedStreamSize is how long the wrapped key of a stream is: format byte, fingerprint
// of the root key, nonce, ciphertext, tag.
const wrappedStreamSize = 1 + markSize + nonceSize + keySize + tagSize

// frameSize is how much plaintext is in each frame of a stream but the last, which has
// from nothing to as much.
const frameSize = 64 << 10

const sealedFrame = nonceSize + frameSize + tagSize

// Writer encrypts a stream. What it has written is nothing until Close has returned.
type Writer struct {
	w       io.Writer
	frames  frames
	plain   []byte // of the frame that gathers
	written []byte // reused
}

// frames seals and opens the frames of one stream: each is bound to what the stream
// begins with, to its number, and to whether it is the last.
type frames struct {
	aead  cipher.AEAD
	bound [sha256.Size + 8 + 1]byte
}

func (f *frames) next(last bool) []byte {
	number := f.bound[sha256.Size:]
	binary.BigEndian.PutUint64(number, binary.BigEndian.Uint64(number)+1)
	if last {
		f.bound[sha256.Size+8] = 1
	}
	return f.bound[:]
}

// NewWriter begins a stream under a key of its own, which the root key wraps. The heading,
// which says what the stream is, is written first; it is authenticated, but not encrypted.
func (r *Root) NewWriter(rand io.Reader, w io.Writer, heading []byte) (*Writer, error) {
	raw, err := draw(rand)
	if err != nil {
		return nil, err
	}
	wrapped := append([]byte{formatStream}, r.mark[:]...)
	wrapped = r.aead.Seal(wrapped, nil, raw, streamBound(r.mark, heading))
	f, err := newFrames(raw, heading, wrapped)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(append(bytes.Clone(heading), wrapped...)); err != nil {
		return nil, err
	}
	return &Writer{w: w, frames: f, plain: make([]byte, 0, frameSize)}, nil
}

func streamBound(mark [markSize]byte, heading []byte) []byte {
	return append(append([]byte{formatStream}, mark[:]...), heading...)
}

func newFrames(raw, heading, wrapped []byte) (f frames, err error) {
	if f.aead, err = newAEAD(raw); err != nil {
		return f, err
	}
	hash := sha256.New()
	hash.Write(heading)
	hash.Write(wrapped)
	hash.Sum(f.bound[:0])
	return f, nil
}

// Write encrypts some more.
func (w *Writer) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if len(w.plain) == frameSize { // it is not the last one
			if err := w.flush(false); err != nil {
				return n - len(p), err
			}
		}
		some := p[:min(len(p), frameSize-len(w.plain))]
		w.plain, p = append(w.plain, some...), p[len(some):]
	}
	return n, nil
}

func (w *Writer) flush(last bool) error {
	w.written = w.frames.aead.Seal(w.written[:0], nil, w.plain, w.frames.next(last))
	clear(w.plain)
	w.plain = w.plain[:0]
	_, err := w.w.Write(w.written)
	return err
}

// Close ends the stream. It does not close what the stream is written to.
func (w *Writer) Close() error { return w.flush(true) }

// Reader decrypts a stream. It gives out what it has authenticated only; io.EOF says that
// the stream is complete and that nothing comes after it.
type Reader struct {
	r      *bufio.Reader
	frames frames
	plain  []byte
	buffer []byte
	ended  bool
}

// NewReader reads a stream whose heading the caller has read already. It is a fault of
// kind Invalid that names both keys if another root key has wrapped the key of the
// stream, or if the stream is damaged.
func (r *Root) NewReader(from io.Reader, heading []byte) (*Reader, error) {
	wrapped := make([]byte, wrappedStreamSize)
	if _, err := io.ReadFull(from, wrapped); err != nil {
		return nil, damaged(err, "it ends within its heading")
	}
	if wrapped[0] != formatStream {
		return nil, damaged(nil, "its heading has no key")
	}
	if mark := wrapped[1 : 1+markSize]; !bytes.Equal(mark, r.mark[:]) {
		e := fault.New(fault.Invalid, "the key in %s has the fingerprint %s, but this was encrypted for the key with the fingerprint %x", r.name, r.Fingerprint(), mark)
		e.Advice = "give that key"
		return nil, e
	}
	raw, err := r.aead.Open(nil, nil, wrapped[1+markSize:], streamBound(r.mark, heading))
	if err != nil {
		return nil, damaged(err, "its heading was changed")
	}
	f, err := newFrames(raw, heading, wrapped)
	if err != nil {
		return nil, err
	}
	return &Reader{r: bufio.NewReaderSize(from, sealedFrame+1), frames: f, buffer: make([]byte, sealedFrame)}, nil
}

// Read gives out plaintext. A stream that was changed or cut off is Invalid.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.plain) == 0 {
		if r.ended {
			return 0, io.EOF
		}
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// fill opens the next frame.
func (r *Reader) fill() error {
	n, err := io.ReadFull(r.r, r.buffer)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return fault.Wrap(err, "reading")
	}
	_, more := r.r.Peek(1)
	if more != nil && !errors.Is(more, io.EOF) {
		return fault.Wrap(more, "reading")
	}
	r.ended = more != nil
	if r.plain, err = r.frames.aead.Open(r.buffer[:0:0], nil, r.buffer[:n], r.frames.next(r.ended)); err != nil {
		return damaged(err, "it was changed, or cut off")
	}
	return nil
}

func damaged(cause error, how string) error {
	return &fault.Error{Kind: fault.Invalid, Message: "it is damaged: " + how, Cause: cause, Advice: "use another copy of it"}
}
