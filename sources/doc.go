// Package sources turns what others write (logs, files of FORMATS, the record) into accesses and facts.
package sources
