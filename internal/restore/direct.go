package restore

import (
	"errors"
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Large files are written past the system's cache (O_DIRECT): filling the
// cache costs more than all the rest of a restore, throws out what others had
// there, and what a server reads first is little of it.
const (
	directFrom  = 256 << 10 // below, the wait for each write costs more than it saves
	directAlign = 4096      // of place, length and memory
)

// outFile is a file that is being restored.
type outFile struct {
	*os.File
	direct bool
}

// open opens the file of a piece, past the cache where that can be done.
func (w *writer) open(p piece, mode fs.FileMode) (*outFile, error) {
	// A link is not followed: whoever owns the directory could lead us out of it.
	const flags = os.O_CREATE | os.O_RDWR | unix.O_NOFOLLOW
	if !w.delta && !w.o.KeepCached && p.len >= directFrom && p.len%directAlign == 0 {
		f, err := os.OpenFile(p.path, flags|directFlag, mode)
		if err == nil {
			return &outFile{f, directFlag != 0}, nil
		}
		if !errors.Is(err, unix.EINVAL) {
			return nil, err
		}
	}
	f, err := os.OpenFile(p.path, flags, mode)
	if err != nil {
		return nil, err
	}
	return &outFile{f, false}, nil
}

// put writes b at off. Some file systems say only here that they cannot do it
// past the cache.
func (f *outFile) put(b []byte, off int64) error {
	_, err := f.WriteAt(b, off)
	if f.direct && errors.Is(err, unix.EINVAL) {
		if err := throughCache(f.File); err != nil {
			return err
		}
		f.direct = false
		_, err = f.WriteAt(b, off)
	}
	return err
}

// window returns a buffer of writeWindow bytes whose memory is aligned.
func (w *writer) window() *[]byte {
	if b, ok := w.windows.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, writeWindow+directAlign)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) % directAlign
	b = b[skip : skip+writeWindow : skip+writeWindow]
	return &b
}
