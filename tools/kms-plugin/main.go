// A kms v2 plugin for tests: it wraps keys under one that it makes when it starts and forgets when it ends.
//
//	kms-plugin SOCKET
//
// May not: keep a key, or be used for anything that is to be read again.
package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"log"
	"os"
	"time"

	"k8s.io/kms/pkg/service"
)

type plugin struct {
	key  cipher.AEAD
	name string
}

func (p plugin) Status(context.Context) (*service.StatusResponse, error) {
	return &service.StatusResponse{Version: "v2", Healthz: "ok", KeyID: p.name}, nil
}

func (p plugin) Encrypt(_ context.Context, _ string, plain []byte) (*service.EncryptResponse, error) {
	return &service.EncryptResponse{Ciphertext: p.key.Seal(nil, nil, plain, nil), KeyID: p.name}, nil
}

func (p plugin) Decrypt(_ context.Context, _ string, request *service.DecryptRequest) ([]byte, error) {
	return p.key.Open(nil, nil, request.Ciphertext, nil)
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: kms-plugin SOCKET")
	}
	var secret [40]byte
	if _, err := rand.Read(secret[:]); err != nil {
		log.Fatal(err)
	}
	block, err := aes.NewCipher(secret[:32])
	if err != nil {
		log.Fatal(err)
	}
	key, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		log.Fatal(err)
	}
	made := plugin{key: key, name: hex.EncodeToString(secret[32:])}
	server := service.NewGRPCService(os.Args[1], 5*time.Second, made)
	log.Fatal(server.ListenAndServe())
}
