package config

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
)

// ReadSecretFile returns the first line of a file that only its owner may read.
func ReadSecretFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("read password: %s has mode %04o; expected one that only its owner may read (chmod 600 %s)", path, info.Mode().Perm(), path)
	}
	scanner := bufio.NewScanner(file)
	if !scanner.Scan() {
		return "", errors.Join(fmt.Errorf("read password: nothing stands in %s", path), scanner.Err())
	}
	return strings.TrimRight(scanner.Text(), "\r"), nil
}
