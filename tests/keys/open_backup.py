#!/usr/bin/env python3
"""Opens a backup of the vault without the vault: from vault/keys/FORMAT.md and vault/records/FORMAT.md, with libsodium
for bulk deciphering and RocksDB's own library for its own file formats.

    open_backup.py (--backup DIR NUMBER | --database DIR) --root-key FILE --keyring FILE --tenant CODE [--resident HEX]...
                   [--values]

Prints one JSON object a resident, handles ascending: {"resident", "kek_version", "dek_version", "programme",
"readable", "why", "fields"}; "why" says what is missing where "readable" is false; "fields" are the numbers of the fields
that open, and with --values what they hold. A resident that was asked for and is not there: "readable" false, "why"
"no row". Exit code 0: the files opened; 3: they do not open with these keys (the message says which key); 2: usage.

The database is deciphered into a temporary folder of this user alone, which goes at the end.
"""
import argparse
import ctypes
import ctypes.util
import json
import os
import re
import struct
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import independent  # noqa: E402  (its primitives and the keyring's format)

HEADER = 64
EXIT_KEYS = 3


class Refused(Exception):
    pass


# --- Files ---

def load_library(name):
    path = ctypes.util.find_library(name)
    if path is None:
        sys.exit(f'open_backup: the library {name} is not installed')
    return ctypes.CDLL(path)


def decipher(data, keys, name):
    """The content of a stored file."""
    header = data[:HEADER]
    if len(header) < HEADER or header[:8] != b'VAULTST1':
        raise Refused(f'{name}: not a file of a vault')
    (key_id,) = struct.unpack('<I', header[8:12])
    key = keys.get((independent.SERVICE, independent.STORAGE, key_id), (0, 0, 0, None))[3]
    if key is None:
        raise Refused(f'{name}: the keyring has no storage key {key_id}')
    if independent.storage_header(key, key_id, header[16:40]) != header:
        raise Refused(f'{name}: the header\'s MAC does not hold')
    body = data[HEADER:]
    out = ctypes.create_string_buffer(len(body))
    sodium = load_library('sodium')
    if body and sodium.crypto_stream_xchacha20_xor_ic(out, body, ctypes.c_ulonglong(len(body)), header[16:40],
                                                       ctypes.c_uint64(0), key) != 0:
        raise Refused(f'{name}: cannot be deciphered')
    return out.raw[:len(body)]


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def backup_files(backup, number, keys):
    """(path, name in the database) of each file of a backup, from its meta file."""
    meta = decipher(read(os.path.join(backup, 'meta', str(number))), keys, f'meta/{number}').decode()
    files = [line.split()[0] for line in meta.splitlines() if ' crc32 ' in line]
    if not files:
        raise Refused(f'meta/{number}: names no file')
    for path in files:
        # shared_checksum/000008_s<session>_<size>.sst is 000008.sst in the database.
        yield path, re.sub(r'_[^/]*(\.[a-z]+)$', r'\1', os.path.basename(path)) if path.startswith(
            'shared') else os.path.basename(path)


def database_files(directory):
    for name in sorted(os.listdir(directory)):
        if name not in ('LOCK',) and not name.endswith('.synced') and os.path.getsize(os.path.join(directory, name)) > 0:
            yield name, name


def plain_copy(source, files, keys, to):
    for path, name in files:
        content = decipher(read(os.path.join(source, path)), keys, path)
        with open(os.open(os.path.join(to, name), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), 'wb') as f:
            f.write(content)


# --- RocksDB's C interface ---

class Database:
    def __init__(self, path):
        self.lib = load_library('rocksdb')
        for name in ('options_create', 'open_for_read_only', 'readoptions_create', 'create_iterator', 'iter_key',
                     'iter_value'):
            getattr(self.lib, 'rocksdb_' + name).restype = ctypes.c_void_p
        self.lib.rocksdb_iter_valid.restype = ctypes.c_ubyte
        options = ctypes.c_void_p(self.lib.rocksdb_options_create())
        error = ctypes.c_char_p()
        self.db = ctypes.c_void_p(self.lib.rocksdb_open_for_read_only(options, path.encode(), ctypes.c_ubyte(0),
                                                                      ctypes.byref(error)))
        if error.value:
            raise Refused(f'RocksDB: {error.value.decode()}')

    def rows(self, prefix):
        options = ctypes.c_void_p(self.lib.rocksdb_readoptions_create())
        it = ctypes.c_void_p(self.lib.rocksdb_create_iterator(self.db, options))
        self.lib.rocksdb_iter_seek(it, prefix, ctypes.c_size_t(len(prefix)))
        size = ctypes.c_size_t()
        while self.lib.rocksdb_iter_valid(it):
            key = ctypes.string_at(self.lib.rocksdb_iter_key(it, ctypes.byref(size)), size.value)
            if not key.startswith(prefix):
                break
            value = ctypes.string_at(self.lib.rocksdb_iter_value(it, ctypes.byref(size)), size.value)
            yield key, value
            self.lib.rocksdb_iter_next(it)
        error = ctypes.c_char_p()
        self.lib.rocksdb_iter_get_error(it, ctypes.byref(error))
        if error.value:
            raise Refused(f'RocksDB: {error.value.decode()}')
        self.lib.rocksdb_iter_destroy(it)


# --- vault/records/FORMAT.md ---

def parse_row(row):
    at = 0

    def take(n):
        nonlocal at
        if at + n > len(row):
            raise Refused('a row is too short')
        at += n
        return row[at - n:at]

    if take(1) != b'\x02':
        raise Refused('a row of another format')
    take(8 + 16)
    (kek_version, dek_version), wrapped = struct.unpack('>II', take(8)), take(105)
    programme = take(take(1)[0])
    fields = {}
    for _ in range(take(1)[0]):
        number, size = struct.unpack('>BI', take(5))
        fields[number] = take(size)
    for _ in range(take(1)[0]):
        take(1 + 1 + 4 + 16)
    return kek_version, dek_version, wrapped, fields, programme


def open_resident(keys, tenant, resident, row, values):
    kek_version, dek_version, wrapped, fields, programme = parse_row(row)
    result = {'resident': resident.hex(), 'kek_version': kek_version, 'dek_version': dek_version, 'programme': programme.decode(),
              'readable': False}
    state, _, _, kek = keys.get((tenant, independent.KEK, kek_version), (None, 0, 0, None))
    if kek is None or state == independent.DESTROYED:
        gone = 'is destroyed' if state == independent.DESTROYED else 'is not in the keyring'
        return dict(result, why=f'KEK version {kek_version} {gone}')
    u32 = independent.u32
    dek = independent.unseal(kek, wrapped, independent.dek_ad(tenant, resident, programme, u32(dek_version),
                                                              u32(kek_version)))[:32]
    opened = {number: independent.unseal(dek, sealed, independent.field_ad(tenant, resident, u32(number),
                                                                            u32(dek_version)))
              for number, sealed in fields.items()}
    shown = {str(n): v.decode() for n, v in opened.items()} if values else sorted(opened)
    return dict(result, readable=True, fields=shown)


def run(args):
    root = independent.read_root_key(read(args.root_key))
    try:
        _, _, keys = independent.read_keyring(read(args.keyring), root)
    except ValueError as error:
        raise Refused(f'the keyring: {error}')
    tenant = args.tenant.encode()
    asked = {bytes.fromhex(handle) for handle in args.resident}
    with tempfile.TemporaryDirectory() as to:
        if args.backup:
            source, number = args.backup
            plain_copy(source, backup_files(source, number, keys), keys, to)
        else:
            plain_copy(args.database, database_files(args.database), keys, to)
        prefix = b'r/' + tenant + b'/'
        for key, row in Database(to).rows(prefix):
            resident = key[len(prefix):]
            if asked and resident not in asked:
                continue
            asked.discard(resident)
            print(json.dumps(open_resident(keys, tenant, resident, row, args.values), ensure_ascii=False))
    for resident in sorted(asked):
        print(json.dumps({'resident': resident.hex(), 'readable': False, 'why': 'no row'}))


def main():
    parser = argparse.ArgumentParser(description='Opens a backup of the vault without the vault.')
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--backup', nargs=2, metavar=('DIR', 'NUMBER'))
    source.add_argument('--database', metavar='DIR', help='of a stopped vault')
    parser.add_argument('--root-key', required=True)
    parser.add_argument('--keyring', required=True)
    parser.add_argument('--tenant', required=True)
    parser.add_argument('--resident', action='append', default=[], metavar='HEX')
    parser.add_argument('--values', action='store_true', help='prints what the fields hold')
    try:
        run(parser.parse_args())
    except Refused as error:
        print(f'open_backup: {error}', file=sys.stderr)
        sys.exit(EXIT_KEYS)


if __name__ == '__main__':
    main()
