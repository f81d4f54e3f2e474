package sources

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Open opens a log, unpacked where its first bytes say that it is packed by gzip or zstd, whatever its name; "-" is stdin.
func Open(name string, stdin io.Reader) (io.ReadCloser, error) {
	in := io.NopCloser(stdin)
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("open a log: %w", err)
		}
		in = file
	} else if stdin == nil {
		return nil, errors.New("open a log: there is no standard input")
	}
	b := bufio.NewReaderSize(in, 64<<10)
	first, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(fmt.Errorf("open a log: %w", err), in.Close())
	}
	switch {
	case bytes.HasPrefix(first, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open %s as gzip: %w", name, err), in.Close())
		}
		return unpacked{z, in}, nil
	case bytes.Equal(first, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderMaxMemory(mostUnpacked), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open %s as zstd: %w", name, err), in.Close())
		}
		return unpacked{z.IOReadCloser(), in}, nil
	}
	return unpacked{io.NopCloser(b), in}, nil
}

// mostUnpacked bounds what a file of zstd may make us remember.
const mostUnpacked = 128 << 20

// unpacked closes both.
type unpacked struct {
	io.ReadCloser
	file io.Closer
}

// Close closes what unpacks, and the file.
func (u unpacked) Close() error { return errors.Join(u.ReadCloser.Close(), u.file.Close()) }

// The formats of logs that are read.
const (
	FormatOCSF = "ocsf"
	FormatCEF  = "cef"
	FormatCSV  = "csvlog"
	FormatJSON = "jsonlog"
)

// LogFormats are those that Recognise tells.
func LogFormats() []string { return []string{FormatOCSF, FormatCEF, FormatCSV, FormatJSON} }

// Recognise tells the format of a log by its first line that holds anything; empty where it is none of them. What was read is read again from
// the reader that it returns.
func Recognise(r io.Reader) (format string, again io.Reader, err error) {
	b := bufio.NewReaderSize(r, 256<<10)
	first, err := b.Peek(256 << 10)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return "", b, fmt.Errorf("read the log: %w", err)
	}
	first = bytes.TrimLeft(bytes.TrimPrefix(first, []byte("\ufeff")), " \t\r\n")
	line, _, _ := bytes.Cut(first, []byte("\n"))
	switch {
	case len(first) == 0:
		return FormatOCSF, b, nil // of nothing any reader makes nothing
	case bytes.HasPrefix(line, []byte("{")) && bytes.Contains(line, []byte(`"class_uid"`)):
		return FormatOCSF, b, nil
	case bytes.HasPrefix(line, []byte("{")) && bytes.Contains(line, []byte(`"error_severity"`)):
		return FormatJSON, b, nil
	case bytes.Contains(line, []byte("CEF:")) && !bytes.HasPrefix(line, []byte("{")):
		return FormatCEF, b, nil
	case looksDated(line):
		return FormatCSV, b, nil
	}
	return "", b, nil
}

// looksDated says whether a line begins as csvlog does, background processes' lines included.
func looksDated(line []byte) bool {
	return len(line) > 24 && line[4] == '-' && line[7] == '-' && line[10] == ' ' && line[13] == ':' && line[19] == '.' && bytes.IndexByte(line, ',') > 0
}
