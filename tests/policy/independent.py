#!/usr/bin/env python3
"""A second decider, from vault/policy/README.md, policies/README.md and the comments of policy.proto alone, on Python's
standard library; random policies and requests on which both must agree.

    independent.py POLICY_TEST [REQUESTS [SEED]]

POLICY_TEST is the C++ test binary, whose test Independent.DecidesAsTheOtherImplementation is the service's side: it
reads `requests.tsv` of VAULT_DECIDER_DIR and writes `decisions.tsv` there, a line for each. REQUESTS is 5,000, or
VAULT_DECIDER_REQUESTS. Every policy is a function of its seed: `independent.py POLICY_TEST 1 SEED` repeats one.
"""
import collections
import os
import random
import re
import subprocess
import sys
import tempfile

REQUESTS = 5000
REQUESTS_A_POLICY = 100
SEED = 20260701
DIFFERENCES_SHOWN = 5
# Of the policies that are made, so many in a hundred the loader may refuse.
REFUSED_PERCENT_MAX = 1
# Each rule, and each of what an allowed decision can say, is met by at least one in so many requests, or else the
# requests show nothing about it.
ONE_IN = 1000


# --- The decider ---

# What is asked about a tenant and what about the service: by the action's name, or by its first part. True and False:
# it is or is not; OWN_LOG: with service_log; TENANTS_LOG: without it.
OWN_LOG, TENANTS_LOG = 'own', 'tenants'
ASKED_ABOUT = {  # (a tenant, the service)
    'resident': (True, False),
    'erasure': (True, False),
    'seats': (True, False),
    'audit': (TENANTS_LOG, OWN_LOG),
    'key': (True, True),
    'key.propose': (False, True),
    'key.approve': (False, True),
    'job': (True, OWN_LOG),
    'approval': (True, OWN_LOG),
    'backup': (False, True),
    'vault': (False, True),
}
NEEDS_TENANT = ('resident', 'erasure', 'seats')
CONTACT_BYTES_MAX = 64
MAKES_RECORD = ('resident.create', 'resident.import')
RULES = (
    'subject.unknown', 'tenant.bound', 'role.action', 'role.log', 'programme.bound', 'programme.required',
    'purpose.required', 'purpose.role', 'contact.required', 'contact.pattern', 'reason.unknown', 'field.search',
    'field.change', 'field.withheld', 'reason.required',
)
FULL, MASKED, UNSEEN, WITHHELD = 'DISCLOSURE_FULL', 'DISCLOSURE_MASKED', 'DISCLOSURE_UNSEEN', 'withheld'


class Request:
    """What is asked. Empty strings and lists: not said."""
    COLUMNS = ('subject', 'action', 'tenant', 'programme', 'purpose', 'contact', 'reason', 'search',
               'change', 'fields')

    def __init__(self, **values):
        for column in self.COLUMNS:
            setattr(self, column, values.get(column, [] if column in ('search', 'change', 'fields') else ''))

    def line(self):
        values = (getattr(self, column) for column in self.COLUMNS)
        return '\t'.join(','.join(v) if isinstance(v, list) else v for v in values)


# What an allowed decision can say, in the columns of its line.
SAID = {
    'several programmes': lambda columns: ',' in columns[2],
    'guesses': lambda columns: columns[3] == 'guesses',
    'escalates': lambda columns: 'escalate' in columns,
    'escalates, and is found': lambda columns: any(a == 'escalate' and c for a, _, c in zip(*[iter(columns[6:])] * 3)),
    'a view that is found by less': lambda columns: any(
        a == 'view' and 0 < len(c) < len(columns[8]) for a, _, c in zip(*[iter(columns[6:])] * 3)),
    'full': lambda columns: 'full' in columns[7],
    'masked': lambda columns: 'masked' in columns[7],
    'unseen': lambda columns: 'unseen' in columns[7],
    'less of a protected resident': lambda columns: columns[12] == 'view' and columns[7] != columns[13],
}


class Denied(Exception):
    def __init__(self, rule, refused=()):
        super().__init__(rule)
        self.rule, self.refused = rule, refused


def of_residents(request):
    return request.action.startswith('resident.')


class Decider:
    def __init__(self, world):
        self.world = world
        self.order = [field['id'] for field in world['schema']['fields']]
        self.tenants = {tenant['id']: tenant for tenant in world['tenants']['tenants']}
        self.subjects = {subject['id']: subject for subject in world['subjects']['subjects']}
        self.roles = {role['id']: role for role in world['policy']['roles']}

    def decide(self, request):
        """The canonical line of the decision."""
        programmes = []
        try:
            role = self._check(request, programmes)
        except Denied as denied:
            return '\t'.join(('deny', denied.rule, ','.join(denied.refused), ','.join(programmes)))
        limits = self.world['policy']['limits']
        attempts, guesses = {'burst': 0, 'per_hour': 0}, False
        if of_residents(request):
            attempts = role['attempts'] or limits['attempts']
            guesses = any(self._disclosure(role['fields'], field, request, programmes) != FULL
                          for field in request.search)
        line = ['allow', 'role.' + role['id'], ','.join(programmes), 'guesses' if guesses else '-',
                str(limits['lookup_matches_max']), '%d/%d' % (attempts['burst'], attempts['per_hour'])]
        for kind in ('ordinary', 'supervisor_only', 'protected_resident'):
            line += self._view(kind, role, request, programmes)
        return '\t'.join(line)

    def _check(self, request, programmes):
        """The role, or Denied by the first check that fails. Fills in the programmes that the call acts in."""
        subject = self._subject(request.subject)
        if subject is None:
            raise Denied('subject.unknown')
        group = request.action.split('.')[0]
        if request.tenant:
            if request.tenant not in self.tenants or not {'*', request.tenant} & set(subject['tenants']):
                raise Denied('tenant.bound')
        elif group in NEEDS_TENANT:
            raise Denied('tenant.bound')
        role = self.roles[subject['role']]
        if request.action not in role['actions']:
            raise Denied('role.action')
        own = OWN_LOG if role['service_log'] else TENANTS_LOG
        asked_about = ASKED_ABOUT.get(request.action, ASKED_ABOUT.get(group))
        if asked_about[0 if request.tenant else 1] not in (True, own):
            raise Denied('role.log')
        if of_residents(request):
            programmes += self._programmes(request, subject, role)
            self._check_residents(request, role)
        if request.reason and request.reason not in self.world['policy']['reasons']:
            raise Denied('reason.unknown')
        self._check_fields(request, role, programmes)
        return role

    def _subject(self, id_):
        """None: unknown. "seat:ROLE:TENANT:PROGRAMME" is a seat, which is a subject of these."""
        if not id_.startswith('seat:'):
            return self.subjects.get(id_)
        _, role, tenant, programme = id_.split(':')
        return {'role': role, 'tenants': [tenant], 'programmes': [programme]}

    def _programmes(self, request, subject, role):
        mine = sorted(programme['id'] for programme in self.tenants[request.tenant]['programmes']
                if programme['id'] in subject['programmes']
                or (role['joins_programmes'] and not subject['programmes']))
        if request.programme:
            if request.programme not in mine:
                raise Denied('programme.bound')
            return [request.programme]
        if not mine:
            raise Denied('programme.bound')
        if len(mine) > 1 and (not role['joins_programmes'] or request.action in MAKES_RECORD):
            raise Denied('programme.required')
        return mine

    def _check_residents(self, request, role):
        policy = self.world['policy']
        if not request.purpose:
            raise Denied('purpose.required')
        if request.purpose not in policy['purposes'] or request.purpose not in role['purposes']:
            raise Denied('purpose.role')
        if not request.contact:
            raise Denied('contact.required')
        if (len(request.contact.encode()) > CONTACT_BYTES_MAX
                or not re.fullmatch(policy['contact_pattern'], request.contact, re.ASCII)):
            raise Denied('contact.pattern')

    def _check_fields(self, request, role, programmes):
        def refuse(rule, fields, may, at_all=True):
            refused = [field for field in fields if not may(field)]
            if refused or not at_all:
                raise Denied(rule, [field for field in refused if field in self.order])

        rules = role['fields'] if of_residents(request) else []
        refuse('field.search', request.search, lambda field: field in role['search_fields'],
               request.action != 'resident.lookup' or request.search)
        refuse('field.change', request.change, lambda field: field in role['change_fields'])
        # As if a reason had been given: what wants one is a check of its own.
        refuse('field.withheld', request.fields, lambda field: WITHHELD != self._disclosure(
            rules, field, request, programmes, reason=True))
        refuse('reason.required', request.fields, lambda field: WITHHELD != self._disclosure(
            rules, field, request, programmes))

    @staticmethod
    def _disclosure(rules, field, request, programmes, reason=None):
        """How much of `field` the rules leave, for the purpose, the programmes and the reason."""
        given = bool(request.reason) if reason is None else reason
        for rule in rules:
            if rule['field'] != field:
                continue
            if rule['purposes'] and request.purpose not in rule['purposes']:
                return WITHHELD
            if rule['programmes'] and not set(programmes) <= set(rule['programmes']):
                return WITHHELD
            if rule['reason_required'] and not given:
                return WITHHELD
            return rule['disclosure']
        return WITHHELD

    def _view(self, kind, role, request, programmes):
        """[whether it escalates, the fields and how much of each, what a lookup finds such a record by]"""
        if not of_residents(request):
            return ['view', '', '']
        if kind == 'ordinary':
            rules, match = role['fields'], set(role['search_fields'])
        elif role[kind] is None:
            rules, match = None, set(role['transfer_fields'])
        else:
            rules = role[kind]['fields']
            match = {field for field in role['search_fields']
                     if self._disclosure(rules, field, request, programmes) == FULL}
        shown = []
        for field in self.order if rules is not None else ():
            if request.fields and field not in request.fields:
                continue
            disclosure = self._disclosure(rules, field, request, programmes)
            if disclosure != WITHHELD:
                shown.append(field + ':' + disclosure[len('DISCLOSURE_'):].lower())
        return ['escalate' if rules is None else 'view', ','.join(shown),
                ','.join(field for field in self.order if field in match)]


# --- Policies ---

class Enum(str):
    """Of a textproto: printed without quotes."""


def textproto(message):
    """A message that is a dict, on one line. None: absent."""
    parts = []
    for name, value in message.items():
        for item in value if isinstance(value, list) else [value]:
            if item is None or item is False:
                continue
            if isinstance(item, dict):
                parts.append('%s { %s }' % (name, textproto(item)))
            elif item is True or isinstance(item, (int, Enum)):
                parts.append('%s: %s' % (name, str(item).lower() if item is True else item))
            else:
                parts.append('%s: "%s"' % (name, item.replace('\\', '\\\\').replace('"', '\\"')))
    return ' '.join(parts)


SEARCHABLE_TYPES = ('NAME', 'DATE', 'PHONE', 'EMAIL', 'OPAQUE_NUMBER', 'TICKET')
OTHER_TYPES = ('SEX', 'POSTAL_CODE', 'ADDRESS', 'FREE_TEXT')
LAST_4_TYPES = ('PHONE', 'OPAQUE_NUMBER', 'TICKET')
AUDIT = ('audit.list', 'audit.head', 'audit.verify', 'audit.checkpoint', 'audit.prove', 'audit.export')
KEY = ('key.status', 'key.rotate', 'key.compromise', 'key.list')
TWO_PEOPLE = ('key.propose', 'key.approve')
JOB = ('job.list', 'job.cancel')
SEATS = ('seats.list', 'seats.propose', 'seats.approve', 'seats.stop')
OPERATION = ('backup.create', 'backup.list', 'backup.delete', 'vault.seal', 'vault.unseal')
RESIDENT = ('resident.lookup', 'resident.get', 'resident.create', 'resident.update', 'resident.import',
            'resident.erase', 'resident.retire')
BESIDE_ANY = JOB + ('erasure.certificate', 'approval.list', 'seats.list', 'seats.approve', 'seats.stop')
ACTIONS = RESIDENT + AUDIT + KEY + TWO_PEOPLE + OPERATION + SEATS + JOB + ('erasure.certificate', 'approval.list')
KINDS = ('desk', 'desk', 'supervisor', 'supervisor', 'officer', 'officer', 'service', 'service', 'reader',
         'compliance', 'security', 'manager', 'idle')
# A pattern, and what makes a reference that it matches.
CONTACTS = (
    ('[A-Z]{1,3}-([0-9]{1,8}|[0-9]{1,4}-[0-9]{1,4})', lambda r: 'AB-%d-%d' % (r.randrange(9999), r.randrange(9999))),
    ('[A-Z]-[0-9]{1,6}', lambda r: '%s-%d' % (r.choice('CXZ'), r.randrange(999999))),
    (r'T[0-9]{4}(\.[A-Z])?', lambda r: 'T%04d%s' % (r.randrange(9999), r.choice(('', '.K')))),
    # Has no bound of its own.
    ('(AB-)*[0-9]{1,4}', lambda r: 'AB-' * r.choice((0, 1, 3, 20)) + str(r.randrange(9999))),
)
BAD_CONTACTS = ('C 1', 'c-1', '090-1234-5678', 'AB-', 'T12', 'X-1234567890', 'C-1x', 'AB-' * 21 + '12',
                'AB-' * 22 + '1', 'T1234.K.K')


def municipality(random_):
    digits = '%02d%03d' % (random_.randint(1, 47), random_.randint(1, 999))
    return digits + str((11 - sum(int(d) * w for d, w in zip(digits, (6, 5, 4, 3, 2))) % 11) % 10)


class Policies:
    """A random policy of a seed, which load accepts."""

    def __init__(self, random_):
        self.r = random_

    def some(self, items, least=0):
        """A random part, in a random order."""
        items = sorted(items) if isinstance(items, set) else list(items)  # a set's order is not the seed's
        return self.r.sample(items, self.r.randint(min(least, len(items)), len(items)))

    def chance(self, part):
        return self.r.random() < part

    def labels(self):
        return {'label_ja': '名', 'label_en': 'name'}

    def world(self):
        self.purposes = ['purpose_%d' % i for i in range(self.r.randint(1, 4))]
        self.reasons = ['reason_%d' % i for i in range(self.r.randint(1, 3))]
        self.fields = self._fields()
        tenants = self._tenants()
        self.programmes = sorted({p['id'] for t in tenants for p in t['programmes']})
        self.contact = self.r.choice(CONTACTS)
        roles = [self._role('role_%d' % i) for i in range(self.r.randint(2, 6))]
        limits = {'lookup_matches_max': self.r.randint(1, 100), 'refusal_burst': 30, 'refusals_per_minute': 10,
                  'request_id_hours': 24, 'clock_jump_seconds_max': 3600,
                  'attempts': {'burst': self.r.randint(1, 1000), 'per_hour': self.r.randint(1, 1000)}}
        world = {
            'schema': {'fields': self.fields},
            'policy': {'purposes': self.purposes, 'reasons': self.reasons, 'contact_pattern': self.contact[0],
                       'limits': limits, 'roles': roles},
            'tenants': {'tenants': tenants},
        }
        world['subjects'] = {'subjects': self._subjects(roles, tenants)}
        return world

    def _fields(self):
        fields = []
        numbers = self.r.sample(range(1, 64), 9)
        for i in range(self.r.randint(3, 9)):
            searchable = i == 0 or self.chance(0.5)
            kind = self.r.choice(SEARCHABLE_TYPES if searchable else SEARCHABLE_TYPES + OTHER_TYPES)
            if not searchable and self.chance(0.2) and not any(f['type'].endswith('PROTECTION') for f in fields):
                kind = 'PROTECTION'
            masks = [None, 'ALL', 'EXISTENCE']
            masks += ['LAST_4'] * (kind in LAST_4_TYPES) + ['TOWN'] * (kind == 'ADDRESS')
            mask = self.r.choice(masks)
            fields.append({
                'id': 'field_%d' % i, 'number': numbers[i], 'type': Enum('FIELD_TYPE_' + kind),
                'required': self.chance(0.2) and kind != 'PROTECTION', 'searchable': searchable,
                'unique': searchable and self.chance(0.2), 'max_bytes': self.r.randint(16, 1024),
                'mask': mask and Enum('MASK_' + mask), **self.labels()})
        self.r.shuffle(fields)
        return fields

    def _tenants(self):
        tenants = []
        ids = {municipality(self.r) for _ in range(self.r.randint(1, 4))}
        for id_ in self.some(ids, len(ids)):
            programmes = []
            for programme in self.some(['programme_%d' % i for i in range(4)]):
                end = '2027-03-31' if self.chance(0.5) else None
                programmes.append({'id': programme, 'end_date': end, 'keep_days': 30 if end else None,
                                   **self.labels(), 'training_required': self.chance(0.3)})
            tenants.append({'id': id_, **self.labels(), 'programmes': programmes})
        return tenants

    def _role(self, id_):
        kind = self.r.choice(KINDS)
        role = {'id': id_, **self.labels(), 'actions': [], 'purposes': [], 'search_fields': [], 'change_fields': [],
                'fields': [], 'supervisor_only': None, 'protected_resident': None, 'service_log': False,
                'transfer_fields': [], 'attempts': None, 'is_service': kind == 'service',
                'joins_programmes': kind == 'officer', 'seats': False}
        if kind in ('compliance', 'security', 'manager', 'idle'):
            self._without_residents(role, kind)
        else:
            self._of_residents(role, kind)
        self.r.shuffle(role['actions'])
        return role

    def _without_residents(self, role, kind):
        if kind == 'compliance':
            role['actions'] = self.some(AUDIT, 1) + self.some(BESIDE_ANY) + self.some(('seats.propose',))
        elif kind == 'security':
            role['service_log'] = True
            role['actions'] = (self.some(AUDIT, 1) + self.some(KEY) + self.some(TWO_PEOPLE) + self.some(OPERATION)
                               + self.some(BESIDE_ANY))
        elif kind == 'manager':
            # Keys and seats without any log.
            role['actions'] = self.some(SEATS, 1) + self.some(('approval.list',) + JOB + KEY + TWO_PEOPLE)
        role['seats'] = kind == 'idle' and self.chance(0.5)

    def _of_residents(self, role, kind):
        actions = {
            'desk': ['resident.lookup'] + self.some(('resident.get', 'resident.update')),
            'supervisor': self.some(('resident.lookup', 'resident.get', 'resident.update'), 1),
            'officer': self.some(RESIDENT, 2),
            'service': self.some(RESIDENT[:5], 1),
            'reader': ['resident.get'],
        }[kind]
        role['actions'] = actions + (self.some(BESIDE_ANY) if self.chance(0.3) else [])
        role['purposes'] = self.some(self.purposes, 1)
        role['seats'] = kind in ('desk', 'supervisor', 'reader') and self.chance(0.6)
        if self.chance(0.3):
            role['attempts'] = {'burst': self.r.randint(1, 9999), 'per_hour': self.r.randint(1, 9999)}
        if 'resident.lookup' in actions:
            role['search_fields'] = self.some([f['id'] for f in self.fields if f['searchable']], 1)
        if set(actions) & {'resident.create', 'resident.import', 'resident.update'}:
            required = [f['id'] for f in self.fields if f['required']]
            role['change_fields'] = self.some({*required, *self.some([f['id'] for f in self.fields], 1)}, 99)
        rules = role['fields'] = self._rules(kind, role['purposes'])
        if kind in ('supervisor', 'officer') or self.chance(0.15):
            role['supervisor_only'] = {'fields': self._weaker(rules)} if self.chance(0.7) else None
            role['protected_resident'] = {'fields': self._weaker(rules)} if self.chance(0.7) else None
        if role['supervisor_only'] is None or role['protected_resident'] is None:
            role['transfer_fields'] = self.some(
                rule['field'] for rule in rules
                if rule['field'] in role['search_fields'] and rule['disclosure'] != MASKED
                and not rule['reason_required'] and not rule['purposes'] and not rule['programmes'])

    def _rules(self, kind, purposes):
        rules = []
        for field in self.some(self.fields, len(self.fields) // 2):
            disclosures = [FULL, FULL] + [MASKED] * (field['mask'] is not None)
            if kind == 'service':
                disclosures = [FULL, UNSEEN, UNSEEN]
            disclosure = self.r.choice(disclosures)
            rules.append({
                'field': field['id'], 'disclosure': Enum(disclosure),
                'reason_required': disclosure == FULL and self.chance(0.3),
                'purposes': self.some(purposes, 1) if self.chance(0.25) else [],
                'programmes': self.some(self.programmes, 1) if kind != 'officer' and self.chance(0.3) else []})
        return rules

    def _weaker(self, rules):
        """Rules that never show more than these."""
        out = []
        masks = {field['id']: field['mask'] for field in self.fields}
        for rule in self.some(rules, len(rules) // 2):
            rule = dict(rule)
            if rule['disclosure'] == FULL and not rule['reason_required']:
                if self.chance(0.3):
                    rule['reason_required'] = True
                elif self.chance(0.3) and masks[rule['field']] is not None:
                    rule['disclosure'] = Enum(MASKED)
            if rule['purposes'] and self.chance(0.5):
                rule['purposes'] = self.some(rule['purposes'], 1)
            if rule['programmes'] and self.chance(0.5):
                rule['programmes'] = self.some(rule['programmes'], 1)
            out.append(rule)
        return out

    def _subjects(self, roles, tenants):
        subjects = []
        for role in roles:
            for _ in range(self.r.randint(1, 3)):
                subject = self._subject(role, tenants)
                if subject is not None:
                    subjects.append({'id': 'urn:vault:subject-%d' % len(subjects), **subject})
        return subjects

    def _subject(self, role, tenants):
        everywhere = self.chance(0.25)
        bound = tenants if everywhere else self.some(tenants, 1)
        programmes = []
        if set(role['actions']) & set(RESIDENT) and not (role['joins_programmes'] and self.chance(0.7)):
            known = sorted({p['id'] for t in bound for p in t['programmes']})
            programmes = self.some(known, 1)
            if not everywhere:
                bound = [t for t in bound if any(p['id'] in programmes for p in t['programmes'])]
            if not programmes or not bound:
                return None
        return {'role': role['id'], 'tenants': ['*'] if everywhere else [t['id'] for t in bound],
                'programmes': programmes,
                'speaks_for': ['urn:vault:'] if role['is_service'] and self.chance(0.5) else []}


# --- Requests ---

class Requests:
    """Requests of a policy: most are near to what is allowed, with one thing spoiled. Where several are, the order of
    the checks shows."""

    def __init__(self, random_, world, contact):
        self.r = random_
        self.world = world
        self.contact = contact
        self.fields = [field['id'] for field in world['schema']['fields']]
        self.tenants = {tenant['id']: tenant for tenant in world['tenants']['tenants']}
        self.roles = {role['id']: role for role in world['policy']['roles']}
        self.subjects = world['subjects']['subjects']

    def some(self, items, least=0):
        items = list(items)
        return self.r.sample(items, self.r.randint(min(least, len(items)), len(items)))

    def next(self):
        request = self._sound()
        for _ in range(self.r.choice((0, 0, 0, 1, 1, 1, 1, 1, 2, 5))):
            self._spoil(request)
        return request

    def _holder(self):
        """(what names the subject, its role, the tenants it is bound to, its programmes)"""
        seats = [role for role in self.roles.values() if role['seats']]
        if seats and self.r.random() < 0.15:
            places = [(t['id'], p['id']) for t in self.tenants.values() for p in t['programmes']]
            if places:
                role, (tenant, programme) = self.r.choice(seats), self.r.choice(places)
                return 'seat:%s:%s:%s' % (role['id'], tenant, programme), role, [tenant], [programme]
        subject = self.r.choice(self.subjects)
        bound = sorted(self.tenants) if subject['tenants'] == ['*'] else subject['tenants']
        return subject['id'], self.roles[subject['role']], bound, subject['programmes']

    def _sound(self):
        id_, role, bound, own = self._holder()
        resident = [action for action in role['actions'] if action in RESIDENT]
        # Most of what can go wrong goes wrong with residents, and most of that in a lookup.
        action = self.r.choice((resident if resident and self.r.random() < 0.9 else role['actions']) or ACTIONS)
        if 'resident.lookup' in resident and self.r.random() < 0.4:
            action = 'resident.lookup'
        request = Request(subject=id_, action=action, tenant=self.r.choice(bound))
        if action not in RESIDENT:
            if role['service_log'] or self.r.random() < 0.3:
                request.tenant = '' if self.r.random() < 0.8 else request.tenant
            return request
        programmes = [p['id'] for p in self.tenants[request.tenant]['programmes'] if not own or p['id'] in own]
        if programmes and (self.r.random() < 0.7 or len(programmes) > 1 and not role['joins_programmes']):
            request.programme = self.r.choice(programmes)
        request.purpose = self.r.choice(role['purposes'] or self.world['policy']['purposes'])
        request.contact = self.contact(self.r)
        if self.r.random() < 0.5:
            request.reason = self.r.choice(self.world['policy']['reasons'])
        if action == 'resident.lookup':
            request.search = self.some(role['search_fields'], 1)[:self.r.choice((1, 2, 9))]
        if action in ('resident.create', 'resident.import', 'resident.update'):
            request.change = self.some(role['change_fields'])
        if self.r.random() < 0.5:
            # Some want another purpose, programme or a reason, some hold nowhere near.
            request.fields = [rule['field'] for rule in self.some(role['fields'])
                              if self.r.random() < 0.2
                              or (not rule['purposes'] or request.purpose in rule['purposes'])
                              and (not rule['programmes'] or request.programme in rule['programmes'])
                              and (not rule['reason_required'] or request.reason)]
        return request

    def _spoil(self, request):
        r = self.r
        field = lambda: r.choice(self.fields + ['field_unknown'] * (r.random() < 0.3))
        spoil = {
            'subject': lambda: r.choice([s['id'] for s in self.subjects] + ['urn:vault:nobody'] * 3),
            'action': lambda: r.choice(ACTIONS),
            'tenant': lambda: r.choice(sorted(self.tenants) + [municipality(r), '', '']),
            'programme': lambda: r.choice(['programme_%d' % i for i in range(4)] + ['', '', 'programme_unknown']),
            'purpose': lambda: r.choice(self.world['policy']['purposes'] + ['', 'purpose_unknown']),
            'contact': lambda: r.choice(BAD_CONTACTS + ('',) * 4),
            'reason': lambda: r.choice(['', '', 'reason_unknown']),
            'search': lambda: request.search + [field()] if r.random() < 0.6 else [],
            'change': lambda: request.change + [field()],
            'fields': lambda: request.fields + [field() for _ in range(r.choice((1, 1, 2, 3)))],
        }
        what = r.choice(sorted(spoil) + ['fields', 'reason', 'programme'])
        setattr(request, what, spoil[what]())


# --- The exchange ---

def build(seed, count):
    """A policy and its requests, of the seed alone."""
    random_ = random.Random(seed)
    policies = Policies(random_)
    world = policies.world()
    while not world['subjects']['subjects']:
        world = policies.world()
    requests = Requests(random_, world, policies.contact[1])
    return world, [requests.next() for _ in range(count)]


def decide_all(policy_test, lines):
    """What the service makes of the lines: one for each."""
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, 'requests.tsv'), 'w', encoding='utf-8') as out:
            out.writelines(line + '\n' for line in lines)
        run = subprocess.run([policy_test, '--gtest_filter=Independent.DecidesAsTheOtherImplementation'],
                             env={**os.environ, 'VAULT_DECIDER_DIR': directory}, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
        if run.returncode != 0:
            sys.exit('%s fails:\n%s' % (policy_test, run.stdout))
        with open(os.path.join(directory, 'decisions.tsv'), encoding='utf-8') as decided:
            return decided.read().split('\n')[:-1]


def show(seed, world, request, expected, decided):
    print('--- seed %d' % seed)
    for name in world:
        print('%s: %s' % (name, textproto(world[name])))
    print('request:  ' + ' '.join('%s=%r' % (c, getattr(request, c)) for c in Request.COLUMNS if getattr(request, c)))
    print('expected: ' + expected.replace('\t', ' | '))
    print('decided:  ' + decided.replace('\t', ' | '))


class Comparison:
    def __init__(self):
        self.met = collections.Counter()
        self.refused = []
        self.compared = self.policies = self.differences = 0

    def add(self, policy_test, seeds, count):
        """The policies of the seeds, with so many requests each."""
        cases = [(seed, *build(seed, count)) for seed in seeds]
        lines = []
        for _, world, requests in cases:
            lines.append('\t'.join(['P'] + [textproto(world[name]) for name in world]))
            lines += ['R\t' + request.line() for request in requests]
        decided = iter(decide_all(policy_test, lines))
        for seed, world, requests in cases:
            self._compare(seed, world, requests, next(decided), [next(decided) for _ in requests])

    def _compare(self, seed, world, requests, loaded, decisions):
        self.policies += 1
        if loaded != 'loaded':
            self.refused.append('seed %d: %s' % (seed, loaded))
            return
        decider = Decider(world)
        for request, decided in zip(requests, decisions):
            expected = decider.decide(request)
            self.compared += 1
            self._count(expected.split('\t'))
            if expected != decided:
                self.differences += 1
                if self.differences <= DIFFERENCES_SHOWN:
                    show(seed, world, request, expected, decided)

    def _count(self, columns):
        if columns[0] == 'deny':
            self.met[columns[1]] += 1
            return
        self.met['role.<id>'] += 1
        for what, said in SAID.items():
            self.met[what] += said(columns)

    def report(self):
        """The number of complaints."""
        all_ = ('role.<id>',) + tuple(SAID) + RULES
        for what in all_:
            print('  %7d  %s' % (self.met[what], what))
        print('%d requests to %d policies: %d decided differently, %d policies refused' %
              (self.compared, self.policies, self.differences, len(self.refused)))
        wrong = self.differences
        if 100 * len(self.refused) > REFUSED_PERCENT_MAX * self.policies:
            print('too many policies are refused:', *self.refused[:10], sep='\n  ')
            wrong += 1
        if self.compared >= REQUESTS:
            rare = [what for what in all_ if ONE_IN * self.met[what] < self.compared]
            wrong += len(rare)
            if rare:
                print('too rare to show anything: ' + ', '.join(rare))
        return wrong


def main():
    if len(sys.argv) not in (2, 3, 4):
        sys.exit(__doc__)
    count = int(sys.argv[2] if len(sys.argv) > 2 else os.environ.get('VAULT_DECIDER_REQUESTS', REQUESTS))
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else SEED
    comparison = Comparison()
    seeds = range(seed, seed + -(-count // REQUESTS_A_POLICY))
    for i in range(0, len(seeds), 100):
        comparison.add(sys.argv[1], seeds[i:i + 100], REQUESTS_A_POLICY)
    sys.exit(1 if comparison.report() else 0)


if __name__ == '__main__':
    main()
