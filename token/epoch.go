package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"sallyport"
)

// DataKey is the secret of one join group in one epoch. Each of its tokens shows by its form in which epoch it was made.
type DataKey struct {
	Epoch  int // from 1 on
	Secret Secret
	Tree   *Tree // of the keys of single tokens, which can be destroyed; nil: there is none

	lone bool // it is the one secret for everything
}

// Keys are the secrets that a Ring derives its keys from.
type Keys struct {
	Record Secret // for the digests in the record, which outlive every epoch

	// Groups are the keys of each join group, first that of which new tokens are. At most two, of epochs that follow one another,
	// since more could not be told apart by form.
	Groups map[string][]DataKey

	all Secret // of every group in epoch 1, if it is set
}

// OneKey is a single secret for everything, in epoch 1.
func OneKey(root Secret) Keys { return Keys{Record: root, all: root} }

// of are the keys of a group, the current one first.
func (k Keys) of(group string) []DataKey {
	if keys := k.Groups[group]; len(keys) > 0 {
		return keys
	}
	if k.all.key != nil {
		return []DataKey{{Epoch: 1, Secret: k.all, lone: true}}
	}
	return nil
}

func (k Keys) check() error {
	if k.Record.key == nil {
		return errors.New("there is no secret for digests")
	}
	for _, group := range slices.Sorted(maps.Keys(k.Groups)) {
		keys := k.Groups[group]
		for i, key := range keys {
			switch {
			case key.Secret.key == nil:
				return fmt.Errorf("epoch %d of group %s has no secret", key.Epoch, group)
			case key.Epoch < 1 || key.Epoch > maxEpoch:
				return fmt.Errorf("group %s has an epoch %d, which is not within 1 and %d", group, key.Epoch, maxEpoch)
			case i > 1 || i == 1 && keys[0].Epoch != key.Epoch+1 && keys[0].Epoch != key.Epoch-1:
				return fmt.Errorf("group %s has other epochs than one, or two that follow one another", group)
			}
		}
	}
	return nil
}

// maxEpoch keeps the number of an epoch within the byte that it has in what keys are derived from.
const maxEpoch = 255

// derive makes the key for one purpose, join group and scheme. Every part is preceded by its length, so that no two
// triples run together to the same text.
func (k DataKey) derive(size int, purpose, group string, scheme sallyport.Scheme) ([]byte, error) {
	if k.Secret.wiped() {
		return nil, fmt.Errorf("derive the %s key: the secret was wiped", purpose)
	}
	info := []byte("sallyport token keys 1")
	for _, part := range []string{purpose, group, string(scheme)} {
		info = binary.BigEndian.AppendUint32(info, uint32(len(part)))
		info = append(info, part...)
	}
	info = append(info, byte(k.Epoch))
	key, err := hkdf.Key(sha256.New, (*k.Secret.key)[:], nil, string(info), size)
	if err != nil {
		return nil, fmt.Errorf("derive the %s key: %w", purpose, err)
	}
	return key, nil
}

func (k DataKey) deriveBlock(purpose, group string, scheme sallyport.Scheme) (cipher.Block, error) {
	key, err := k.derive(32, purpose, group, scheme)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return aes.NewCipher(key)
}

func (k DataKey) deriveMAC(purpose, group string, scheme sallyport.Scheme) (*mac, error) {
	block, err := k.deriveBlock(purpose, group, scheme)
	if err != nil {
		return nil, err
	}
	return newMAC(block), nil
}

// epochForms are how the tokens of one epoch are told from others, but for numbers, whose prefixes each column has for itself.
// Forms come round again, as the year does: two epochs that are in use together always differ.
type epochForms struct {
	domain     string // of e-mail tokens
	code       string // of phone tokens
	name, text byte   // the letter after tk1:
	day        int32  // first of the token days
}

// formsRound is after how many epochs every form has been there: letters have the longest round.
const formsRound = 26

func (s Settings) forms(epoch int) epochForms {
	return epochForms{
		domain: s.emailDomain(epoch), code: s.phoneCode(epoch), name: nameLetter(epoch), text: textLetter(epoch), day: firstTokenDay(epoch),
	}
}

// emailDomain is the domain of e-mail tokens: the first label says the epoch.
func (s Settings) emailDomain(epoch int) string {
	return emailLabel(epoch) + s.EmailDomain[len(emailLabel(1)):]
}

// emailLabel has always two characters, so that a token of a later epoch is no longer than one before.
func emailLabel(epoch int) string { return "k" + strconv.Itoa((epoch-1)%9+1) }

func (s Settings) phoneCode(epoch int) string {
	if epoch%2 == 1 {
		return s.PhoneCode
	}
	if s.PhoneCode == phoneCode {
		return otherPhoneCode
	}
	return phoneCode
}

// nameLetter and textLetter are the character after tk1:, which says the scheme by its case.
func nameLetter(epoch int) byte { return byte('A' + (epoch-1)%26) }
func textLetter(epoch int) byte { return byte('a' + (epoch-1)%26) }

func firstTokenDay(epoch int) int32 {
	if epoch%2 == 1 {
		return dayOf(tokenYear, 1, 1)
	}
	return dayOf(evenTokenYear, 1, 1)
}

// reserved are the prefixes of number tokens in an epoch.
func (s Spec) reserved(epoch int) (map[string]string, error) {
	if err := checkPrefixes(s.Prefixes, s.NextPrefixes); err != nil {
		return nil, err
	}
	if epoch%2 == 1 {
		return s.Prefixes, nil
	}
	if len(s.NextPrefixes) == 0 {
		return nil, errors.New("its keys were rotated, and that takes a second prefix of tokens for each prefix: next_prefixes")
	}
	return s.NextPrefixes, nil
}
