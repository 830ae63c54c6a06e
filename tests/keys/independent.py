#!/usr/bin/env python3
"""A second implementation of vault/keys/FORMAT.md, from that page and public specifications alone (RFC 8439,
draft-irtf-cfrg-xchacha, RFC 7693), on Python's standard library: neither libsodium nor any code of the service.

    independent.py FORMAT.md KEYS_TEST

Recomputes every example of the page; opens what the service wrote; writes what the service then opens. KEYS_TEST is the
C++ test binary, whose Exchange tests are the service's side.
"""
import hashlib
import hmac
import os
import re
import struct
import subprocess
import sys
import tempfile


# --- ChaCha20 and Poly1305 ---

def _rotl(x, n):
    return ((x << n) | (x >> (32 - n))) & 0xFFFFFFFF


def _rounds(s):
    s = list(s)
    for _ in range(10):
        for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                           (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            s[a] = (s[a] + s[b]) & 0xFFFFFFFF; s[d] = _rotl(s[d] ^ s[a], 16)
            s[c] = (s[c] + s[d]) & 0xFFFFFFFF; s[b] = _rotl(s[b] ^ s[c], 12)
            s[a] = (s[a] + s[b]) & 0xFFFFFFFF; s[d] = _rotl(s[d] ^ s[a], 8)
            s[c] = (s[c] + s[d]) & 0xFFFFFFFF; s[b] = _rotl(s[b] ^ s[c], 7)
    return s


_CONSTANTS = struct.unpack('<4I', b'expand 32-byte k')


def hchacha20(key, nonce16):
    s = _rounds(_CONSTANTS + struct.unpack('<8I', key) + struct.unpack('<4I', nonce16))
    return struct.pack('<8I', *(s[0:4] + s[12:16]))


def xchacha20_block(key, nonce24, counter):
    """Block `counter` (64 bits) of the key stream."""
    subkey = hchacha20(key, nonce24[:16])
    start = (_CONSTANTS + struct.unpack('<8I', subkey) + struct.unpack('<2I', struct.pack('<Q', counter))
             + struct.unpack('<2I', nonce24[16:]))
    return struct.pack('<16I', *((a + b) & 0xFFFFFFFF for a, b in zip(_rounds(start), start)))


def xchacha20_xor(key, nonce24, data, offset=0):
    out = bytearray()
    for i, byte in enumerate(data, offset):
        if i % 64 == 0 or not out:
            block = xchacha20_block(key, nonce24, i // 64)
        out.append(byte ^ block[i % 64])
    return bytes(out)


def poly1305(key32, message):
    r = int.from_bytes(key32[:16], 'little') & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for i in range(0, len(message), 16):
        total = (total + int.from_bytes(message[i:i + 16] + b'\x01', 'little')) * r % ((1 << 130) - 5)
    return ((total + int.from_bytes(key32[16:], 'little')) & ((1 << 128) - 1)).to_bytes(16, 'little')


def aead_tag(key, nonce, ciphertext):
    padded = ciphertext + bytes(-len(ciphertext) % 16)
    return poly1305(xchacha20_block(key, nonce, 0)[:32], padded + struct.pack('<QQ', 0, len(ciphertext)))


# --- FORMAT.md ---

def u32(n):
    return struct.pack('<I', n)


def lp(*parts):
    return b''.join(u32(len(p)) + p for p in parts)


def mac(key, *parts):
    return hashlib.blake2b(lp(*parts), key=key, digest_size=32).digest()


def subkey(key, purpose):
    return mac(key, b'subkey', purpose)


def _message_key(key, nonce, ad):
    both = hashlib.blake2b(nonce + ad, key=key, digest_size=64).digest()
    return both[:32], both[32:]


def seal(key, nonce, plaintext, ad):
    message_key, commitment = _message_key(key, nonce, ad)
    ciphertext = xchacha20_xor(message_key, nonce, plaintext, 64)  # block 0 is Poly1305's key
    return nonce + commitment + ciphertext + aead_tag(message_key, nonce, ciphertext)


def unseal(key, sealed, ad):
    if len(sealed) < 72:
        raise ValueError('too short')
    nonce, commitment, ciphertext, tag = sealed[:24], sealed[24:56], sealed[56:-16], sealed[-16:]
    message_key, expected = _message_key(key, nonce, ad)
    if not hmac.compare_digest(expected, commitment):
        raise ValueError('the commitment does not hold')
    if not hmac.compare_digest(aead_tag(message_key, nonce, ciphertext), tag):
        raise ValueError('the tag does not hold')
    return xchacha20_xor(message_key, nonce, ciphertext, 64)


STORAGE, SERVICE_MAC, TOKEN, KEK, INDEX, TENANT_MAC, LOG_SEED, DEK_GENERATION, ROOT_GENERATION = range(1, 10)
COUNTERS = (DEK_GENERATION, ROOT_GENERATION)
PENDING = 1
ACTIVE, DEACTIVATED, COMPROMISED, DESTROYED = range(1, 5)
SERVICE = bytes(6)


def keyring_key_ad(vault_id, front):
    return lp(b'vault/keyring-key/v1', vault_id, front)


def read_root_key(data):
    if not re.fullmatch(rb'[0-9a-fA-F]{64}\n?', data):
        raise ValueError('not a root key file')
    return bytes.fromhex(data[:64].decode())


def read_keyring(data, root):
    """(vault id, serial, {(tenant, kind, version): (state, created, flags, key)})

    In the key's place: None of a counter; (serial, microseconds) of what was destroyed.
    """
    if len(data) < 136 or data[:8] != b'VAULTKR\n':
        raise ValueError('not a keyring')
    if hashlib.sha256(data[:72]).digest() != data[72:104]:
        raise ValueError('damaged header')
    version, count = struct.unpack('<II', data[8:16])
    vault_id, (serial,) = data[16:32], struct.unpack('<Q', data[32:40])
    if version != 1:
        raise ValueError('another format version')
    if data[40:72] != mac(subkey(root, b'vault/keyring-check/v1'), vault_id):
        raise ValueError('another root key')
    if len(data) != 104 + 128 * count + 32:
        raise ValueError('wrong length')
    if data[-32:] != mac(subkey(root, b'vault/keyring-file/v1'), data[:-32]):
        raise ValueError('the MAC does not hold')
    keys, last = {}, None
    for at in range(104, len(data) - 32, 128):
        front, wrapped = data[at:at + 24], data[at + 24:at + 128]
        kind, state, tenant, key_version, created, flags = struct.unpack('<BB6sIQI', front)
        if last is not None and last >= (tenant, kind, key_version):
            raise ValueError('wrong order')
        last = (tenant, kind, key_version)
        if kind in COUNTERS:
            if wrapped != bytes(104) or state != ACTIVE:
                raise ValueError('a counter with a key')
            key = None
        elif state == DESTROYED:
            key = struct.unpack('<QQ', wrapped[:16])
            if wrapped[16:] != bytes(88) or not 2 <= key[0] <= serial:
                raise ValueError('a destroyed key')
        else:
            key = unseal(root, wrapped, keyring_key_ad(vault_id, front))
        if flags not in (0, PENDING) or (flags and not (state == ACTIVE and kind in (SERVICE_MAC, KEK, INDEX, DEK_GENERATION))):
            raise ValueError('flags')
        keys[last] = (state, created, flags, key)
    check_set(keys)
    return vault_id, serial, keys


def check_set(keys):
    def of(owner, kind):
        return [(version, entry[0]) for (o, k, version), entry in sorted(keys.items()) if (o, k) == (owner, kind)]

    for owner in {k[0] for k in keys}:
        keks, indexes, macs = of(owner, KEK), of(owner, INDEX), of(owner, TENANT_MAC)
        if any(len(of(owner, kind)) > 1 for kind in COUNTERS):
            raise ValueError('two counters')
        if owner == SERVICE:
            if ACTIVE not in [state for _, state in of(owner, STORAGE)]:
                raise ValueError('no storage key')
            for kind in (SERVICE_MAC, TOKEN):
                states = [state for _, state in of(owner, kind)]
                if states.count(ACTIVE) != 1 or states[-1] != ACTIVE:
                    raise ValueError('not one key of the service')
        elif {state for _, state in keks + indexes + macs} == {DESTROYED} and keks and indexes and len(macs) == 1:
            if any(entry[2] for (o, _, _), entry in keys.items() if o == owner):
                raise ValueError('off-boarded and pending')
        elif ([state for _, state in keks].count(ACTIVE) != 1 or not indexes or indexes[-1][1] != ACTIVE
              or [state for _, state in indexes].count(ACTIVE) != 1 or len(macs) != 1 or macs[0][1] == DESTROYED):
            raise ValueError('keys that do not belong together')


def write_keyring(vault_id, serial, keys, root, random):
    header = struct.pack('<8sII16sQ', b'VAULTKR\n', 1, len(keys), vault_id, serial)
    header += mac(subkey(root, b'vault/keyring-check/v1'), vault_id)
    out = header + hashlib.sha256(header).digest()
    for (tenant, kind, version), (state, created, flags, key) in sorted(keys.items()):
        front = struct.pack('<BB6sIQI', kind, state, tenant, version, created, flags)
        out += front
        if kind in COUNTERS:
            out += bytes(104)
        elif state == DESTROYED:
            out += struct.pack('<QQ', *key) + bytes(88)
        else:
            out += seal(root, random(24), key, keyring_key_ad(vault_id, front))
    return out + mac(subkey(root, b'vault/keyring-file/v1'), out)


def dek_ad(tenant, resident, programme, dek_version, kek_version):
    return lp(b'vault/dek/v2', tenant, resident, programme, dek_version, kek_version)


def field_ad(tenant, resident, number, dek_version):
    return lp(b'vault/field/v1', tenant, resident, number, dek_version)


def index_tag(key, tenant, programme, record_class, number, generation, canonical):
    return mac(key, b'vault/tag/v2', tenant, programme, record_class, number, generation, canonical)[:16]


def storage_header(key, key_id, nonce):
    front = b'VAULTST1' + u32(key_id) + bytes(4) + nonce + bytes(8)
    return front + mac(subkey(key, b'vault/storage-header/v1'), front)[:16]


def row_key(keys, version):
    return subkey(keys[(SERVICE, SERVICE_MAC, version)][3], b'vault/sealed-row/v1')


def seal_row(key, version, place, seq, content):
    key_version, number = struct.pack('>I', version), struct.pack('>Q', seq)
    return (b'\x02' + key_version + number + content
            + mac(key, b'vault/row/v2', place, key_version, number, content))


# --- The checks ---

def parse_examples(text):
    examples, name = {}, None
    for line in text.splitlines():
        start = re.fullmatch(r' {4}([a-z_0-9]+\.[a-z_0-9]+) =\s*([0-9a-f]*)', line)
        more = re.fullmatch(r' {8}([0-9a-f]+)', line)
        if start:
            name = start[1]
            if name in examples:
                raise ValueError(f'{name} stands twice')
            examples[name] = start[2]
        elif more and name:
            examples[name] += more[1]
        else:
            name = None
    return {k: bytes.fromhex(v) for k, v in examples.items()}


CHECKS = 0


def expect(name, actual, expected):
    global CHECKS
    CHECKS += 1
    if actual != expected:
        sys.exit(f'{name}: {actual!r} instead of {expected!r}')


def check_primitives():
    # The draft's own vector (draft-irtf-cfrg-xchacha, 2.2.1); the rest of ChaCha20 is the same function.
    expect('HChaCha20', hchacha20(bytes(range(32)), bytes.fromhex('000000090000004a0000000031415927')).hex(),
           '82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc')
    # RFC 8439, 2.5.2.
    expect('Poly1305', poly1305(bytes.fromhex('85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b'),
                                b'Cryptographic Forum Research Group').hex(), 'a8061dc1305136c6c22b8baf0c0127a9')


def write_again(data, root):
    """The file anew, from what was read and the nonces that it has."""
    vault_id, serial, keys = read_keyring(data, root)
    nonces = iter([data[at + 24:at + 48] for at in range(104, len(data) - 32, 128)
                   if data[at] not in COUNTERS and data[at + 1] != DESTROYED])
    return write_keyring(vault_id, serial, keys, root, lambda n: next(nonces))


def check_later_example(e, first):
    """The same vault after rotations, destructions and another root key."""
    root, later = read_root_key(e['later.root']), struct.unpack('<Q', e['later.time'])[0]
    created = struct.unpack('<Q', e['keyring.created'])[0]
    _, serial, keys = read_keyring(e['later.file'], root)
    here, gone = b'131164', b'141003'
    expect('later serial', serial, 13)
    expect('later keys', {k: v[:3] + (v[3] if v[0] == DESTROYED else None,) for k, v in keys.items()}, {
        (SERVICE, STORAGE, 1): (DEACTIVATED, created, 0, None),
        (SERVICE, STORAGE, 2): (ACTIVE, later, 0, None),
        (SERVICE, SERVICE_MAC, 1): (COMPROMISED, created, 0, None),
        (SERVICE, SERVICE_MAC, 2): (ACTIVE, later, PENDING, None),
        (SERVICE, TOKEN, 1): (DESTROYED, created, 0, (12, later)),
        (SERVICE, TOKEN, 2): (ACTIVE, later, 0, None),
        (SERVICE, LOG_SEED, 1): (ACTIVE, created, 0, None),
        (SERVICE, ROOT_GENERATION, 2): (ACTIVE, later, 0, None),
        (here, KEK, 1): (DESTROYED, created, 0, (7, later)),
        (here, KEK, 2): (ACTIVE, later, 0, None),
        (here, INDEX, 1): (DEACTIVATED, created, 0, None),
        (here, INDEX, 2): (ACTIVE, later, PENDING, None),
        (here, TENANT_MAC, 1): (ACTIVE, created, 0, None),
        (here, LOG_SEED, 1): (ACTIVE, created, 0, None),
        (here, DEK_GENERATION, 2): (ACTIVE, later, PENDING, None),
        (gone, KEK, 1): (DESTROYED, later, 0, (10, later)),
        (gone, INDEX, 1): (DESTROYED, later, 0, (10, later)),
        (gone, TENANT_MAC, 1): (DESTROYED, later, 0, (10, later)),
        (gone, LOG_SEED, 1): (ACTIVE, later, 0, None),
    })
    for kept in ((SERVICE, STORAGE, 1), (SERVICE, SERVICE_MAC, 1), (here, INDEX, 1), (here, LOG_SEED, 1)):
        expect('later key', keys[kept][3], first[kept][3])
    expect('later.file', write_again(e['later.file'], root), e['later.file'])
    try:
        read_keyring(e['later.file'], read_root_key(e['root.file']))
    except ValueError as error:
        expect('the old root key', str(error), 'another root key')
    else:
        sys.exit('the old root key opens the keyring')


def check_examples(e):
    parts = (e['lp.part1'], e['lp.part2'], e['lp.part3'])
    expect('lp.result', lp(*parts), e['lp.result'])
    expect('mac.result', mac(e['mac.key'], *parts), e['mac.result'])
    expect('subkey.result', subkey(e['mac.key'], b'example'), e['subkey.result'])
    for name, plaintext in (('seal.result', e['seal.plaintext']), ('seal.empty', b'')):
        expect(name, seal(e['seal.key'], e['seal.nonce'], plaintext, e['seal.ad']), e[name])
        expect(name, unseal(e['seal.key'], e[name], e['seal.ad']), plaintext)

    root = read_root_key(e['root.file'])
    vault_id, serial, keys = read_keyring(e['keyring.file'], root)
    created = struct.unpack('<Q', e['keyring.created'])[0]
    expect('keyring serial', serial, 2)
    expect('keyring keys', {k: v[:3] for k, v in keys.items()},
           {k: (ACTIVE, created, 0) for k in ((SERVICE, STORAGE, 1), (SERVICE, SERVICE_MAC, 1), (SERVICE, TOKEN, 1),
                                              (SERVICE, LOG_SEED, 1), (b'131164', KEK, 1), (b'131164', INDEX, 1),
                                              (b'131164', TENANT_MAC, 1), (b'131164', LOG_SEED, 1))})
    expect('keyring.file', write_again(e['keyring.file'], root), e['keyring.file'])
    check_later_example(e, keys)
    seq, version = struct.unpack('<Q', e['row.seq'])[0], struct.unpack('<I', e['row.mac_version'])[0]
    expect('row.mac_key', row_key(keys, version), e['row.mac_key'])
    for name, content in (('row.sealed', e['row.content']), ('row.empty', b'')):
        expect(name, seal_row(row_key(keys, version), version, e['row.key'], seq, content), e[name])

    tenant, resident, programme, dek = e['dek.tenant'], e['dek.resident'], e['dek.programme'], e['dek.key']
    expect('dek.wrapped', seal(e['dek.kek'], e['dek.nonce'], dek + e['dek.class'],
                               dek_ad(tenant, resident, programme, e['dek.version'], e['dek.kek_version'])),
           e['dek.wrapped'])
    expect('field.sealed', seal(dek, e['field.nonce'], e['field.value'],
                                field_ad(tenant, resident, e['field.number'], e['dek.version'])), e['field.sealed'])
    expect('tag.result', index_tag(e['tag.key'], tenant, programme, e['tag.class'], e['tag.field_number'],
                                   e['tag.generation'], e['tag.canonical']), e['tag.result'])
    header = e['storage.header']
    expect('storage.header', storage_header(e['storage.key'], 1, header[16:40]), header)
    offset = struct.unpack('<Q', e['storage.offset'])[0]
    expect('storage.content', xchacha20_xor(e['storage.key'], header[16:40], e['storage.plain'], offset),
           e['storage.content'])


def run_service(keys_test, test, directory):
    done = subprocess.run([keys_test, f'--gtest_filter=Exchange.{test}'], stdout=subprocess.PIPE,
                          env=dict(os.environ, VAULT_EXCHANGE_DIR=directory), timeout=120)
    if done.returncode != 0 or b'[  PASSED  ] 1 test' not in done.stdout:
        sys.exit(f'{test}: the service failed\n{done.stdout.decode()}')


def read_file(directory, name):
    with open(os.path.join(directory, name), 'rb') as f:
        return f.read()


def check_what_the_service_wrote(directory):
    root = read_root_key(read_file(directory, 'root.key'))
    _, _, keys = read_keyring(read_file(directory, 'keyring'), root)
    e = parse_examples(read_file(directory, 'record').decode())
    tenant, resident, programme = e['record.tenant'], e['record.resident'], e['record.programme']
    state, _, flags, kek = keys[(tenant, KEK, 2)]
    expect('KEK 2', (state, flags), (ACTIVE, 1))
    expect('KEK 1', keys[(tenant, KEK, 1)][0], DEACTIVATED)
    expect('index 1', keys[(tenant, INDEX, 1)][0], COMPROMISED)
    expect('index 2', keys[(tenant, INDEX, 2)][::2], (ACTIVE, 0))
    expect('DEK generation', keys[(tenant, DEK_GENERATION, 2)], (ACTIVE, keys[(tenant, KEK, 2)][1], 1, None))
    expect('storage 1', keys[(SERVICE, STORAGE, 1)][0], DESTROYED)
    for kind in (KEK, INDEX, TENANT_MAC):
        expect('off-boarded', keys[(b'141003', kind, 1)][0], DESTROYED)
    for owner in (SERVICE, tenant):
        expect('log key', keys[(owner, LOG_SEED, 1)][:1] + keys[(owner, LOG_SEED, 1)][2:3], (ACTIVE, 0))
    expect('log seeds differ', keys[(SERVICE, LOG_SEED, 1)][3] != keys[(tenant, LOG_SEED, 1)][3], True)
    opened = unseal(kek, e['record.dek'], dek_ad(tenant, resident, programme, u32(1), u32(2)))
    expect('record class', opened[32], 2)
    expect('field', unseal(opened[:32], e['record.field'], field_ad(tenant, resident, u32(7), u32(1))),
           'とても架空の値'.encode())
    expect('tag', index_tag(keys[(tenant, INDEX, 2)][3], tenant, programme, u32(2), u32(7), u32(2), b'canonical'),
           e['record.tag'])
    stored = e['record.stored']
    storage_key = keys[(SERVICE, STORAGE, 2)][3]
    expect('stored header', storage_header(storage_key, 2, stored[16:40]), stored[:64])
    expect('stored content', xchacha20_xor(storage_key, stored[16:40], stored[64:]), b'a row of the store' * 10)
    expect('MAC 1', keys[(SERVICE, SERVICE_MAC, 1)][0], COMPROMISED)
    expect('MAC 2', (keys[(SERVICE, SERVICE_MAC, 2)][0], keys[(SERVICE, SERVICE_MAC, 2)][2]), (ACTIVE, PENDING))
    expect('token 1', keys[(SERVICE, TOKEN, 1)][0], DESTROYED)
    expect('row', seal_row(row_key(keys, 2), 2, b'g/1', 77, b'a row'), e['record.row'])


def write_for_the_service(directory):
    tenant, resident, programme, root = b'131164', bytes(range(16)), b'vaccination', os.urandom(32)
    keys = {(SERVICE, kind, 1): (ACTIVE, 1, 0, os.urandom(32)) for kind in (STORAGE, SERVICE_MAC, TOKEN)}
    kek, dek = os.urandom(32), os.urandom(32)
    keys[(tenant, KEK, 1)] = (DESTROYED, 1, 0, (4, 1))
    keys[(tenant, KEK, 2)] = (COMPROMISED, 1, 0, os.urandom(32))
    keys[(tenant, KEK, 3)] = (ACTIVE, 1, 1, kek)
    keys[(tenant, INDEX, 1)] = (DESTROYED, 1, 0, (2, 1))
    keys[(tenant, INDEX, 2)] = (DEACTIVATED, 1, 0, os.urandom(32))
    keys[(tenant, INDEX, 3)] = (ACTIVE, 1, 1, os.urandom(32))
    keys[(tenant, TENANT_MAC, 1)] = (ACTIVE, 1, 0, os.urandom(32))
    keys[(tenant, DEK_GENERATION, 7)] = (ACTIVE, 1, 1, None)
    keys[(SERVICE, ROOT_GENERATION, 3)] = (ACTIVE, 1, 0, None)
    for kind in (KEK, INDEX, TENANT_MAC):
        keys[(b'141003', kind, 1)] = (DESTROYED, 1, 0, (5, 9))
    keys[(SERVICE, LOG_SEED, 1)] = (COMPROMISED, 1, 0, os.urandom(32))
    keys[(SERVICE, LOG_SEED, 2)] = (ACTIVE, 2, 0, bytes(range(32)))
    keys[(SERVICE, SERVICE_MAC, 1)] = (DESTROYED, 1, 0, (3, 1))
    for version, state in ((4, DEACTIVATED), (6, ACTIVE)):
        keys[(SERVICE, SERVICE_MAC, version)] = (state, 1, 0, os.urandom(32))
    record = {
        'record.dek': seal(kek, os.urandom(24), dek + b'\x03', dek_ad(tenant, resident, programme, u32(4), u32(3))),
        'record.field': seal(dek, os.urandom(24), 'また架空の値'.encode(), field_ad(tenant, resident, u32(7), u32(4))),
        'record.row': seal_row(row_key(keys, 4), 4, b'g/2', 78, b'another row'),
    }
    files = {
        'root.key': root.hex().encode(),
        'keyring': write_keyring(os.urandom(16), 5, keys, root, os.urandom),
        'record': ''.join(f'    {name} = {value.hex()}\n' for name, value in record.items()).encode(),
    }
    for name, data in files.items():
        with open(os.open(os.path.join(directory, name), os.O_CREAT | os.O_WRONLY, 0o600), 'wb') as f:
            f.write(data)


def main():
    page, keys_test = sys.argv[1:]
    check_primitives()
    with open(page, encoding='utf-8') as f:
        check_examples(parse_examples(f.read()))
    with tempfile.TemporaryDirectory() as directory:
        run_service(keys_test, 'WritesForAnIndependentReader', directory)
        check_what_the_service_wrote(directory)
    with tempfile.TemporaryDirectory() as directory:
        write_for_the_service(directory)
        run_service(keys_test, 'OpensWhatAnIndependentWriterWrote', directory)
    print(f'{CHECKS} checks')


if __name__ == '__main__':
    main()
