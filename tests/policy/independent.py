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
# Each rule is met by at least one in so many requests, or else the requests show nothing about it.
RULE_ONE_IN = 1000


# --- The decider ---

# What is asked about a tenant and what about the service: by the first part of the action's name. True and False: it is
# or is not; OWN_LOG: with service_log; TENANTS_LOG: without it.
OWN_LOG, TENANTS_LOG = 'own', 'tenants'
ASKED_ABOUT = {  # (a tenant, the service)
    'resident': (True, False),
    'erasure': (True, False),
    'seats': (True, False),
    'audit': (TENANTS_LOG, OWN_LOG),
    'key': (True, True),
    'job': (True, OWN_LOG),
    'approval': (False, True),
    'backup': (False, True),
    'vault': (False, True),
}
NEEDS_TENANT = ('resident', 'erasure', 'seats')
MAKES_RECORD = ('resident.create', 'resident.import')
RULES = (
    'subject.unknown', 'tenant.bound', 'role.action', 'role.log', 'programme.bound', 'programme.required',
    'purpose.required', 'purpose.role', 'contact.required', 'contact.pattern', 'reason.unknown', 'field.search',
    'field.change', 'field.withheld', 'reason.required',
)
FULL, MASKED, UNSEEN, WITHHELD = 'DISCLOSURE_FULL', 'DISCLOSURE_MASKED', 'DISCLOSURE_UNSEEN', 'withheld'


class Request:
    """What is asked. Empty strings and lists: not said."""
    COLUMNS = ('subject', 'by_token', 'action', 'tenant', 'programme', 'purpose', 'contact', 'reason', 'search',
               'change', 'fields')

    def __init__(self, **values):
        for column in self.COLUMNS:
            setattr(self, column, values.get(column, [] if column in ('search', 'change', 'fields') else ''))

    def line(self):
        values = (getattr(self, column) for column in self.COLUMNS)
        return '\t'.join(','.join(v) if isinstance(v, list) else v for v in values)


class Denied(Exception):
    def __init__(self, rule, refused=()):
        super().__init__(rule)
        self.rule, self.refused = rule, refused


def holds(wanted, allowed):
    return True if allowed is True else False if allowed is False else wanted == allowed


class Decider:
    def __init__(self, world):
        self.world = world
        self.order = [field['id'] for field in world['schema']['fields']]
        self.tenants = {tenant['id']: tenant for tenant in world['tenants']['tenants']}
        self.subjects = {subject['id']: subject for subject in world['subjects']['subjects']}
        self.roles = {role['id']: role for role in world['policy']['roles']}

    def decide(self, request):
        """The canonical line of the decision."""
        try:
            role, programmes = self._check(request)
        except Denied as denied:
            return '\t'.join(('deny', denied.rule, ','.join(denied.refused)))
        line = ['allow', 'role.' + role['id'], ','.join(programmes)]
        if not request.action.startswith('resident.'):
            return '\t'.join(line)
        guesses = request.action == 'resident.lookup' and any(
            self._disclosure(role['fields'], field, request, programmes) != FULL for field in request.search)
        line.append('guesses' if guesses else '-')
        line.append(str(self.world['policy']['limits']['lookup_matches_max']))
        for kind in ('ordinary', 'supervisor_only', 'protected_resident'):
            line += self._view(kind, role, request, programmes)
        return '\t'.join(line)

    def _check(self, request):
        """(the role, the programmes that the call acts in), or Denied by the first check that fails."""
        subject = self.subjects.get(request.subject)
        if subject is None or request.by_token:
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
        own = OWN_LOG if role.get('service_log') else TENANTS_LOG
        if not holds(own, ASKED_ABOUT[group][0 if request.tenant else 1]):
            raise Denied('role.log')
        programmes = []
        if group == 'resident':
            programmes = self._programmes(request, subject, role)
            self._check_residents(request, role)
        policy = self.world['policy']
        if request.reason and request.reason not in policy['reasons']:
            raise Denied('reason.unknown')
        self._check_fields(request, role, programmes)
        return role, programmes

    def _programmes(self, request, subject, role):
        mine = [programme['id'] for programme in self.tenants[request.tenant]['programmes']
                if programme['id'] in subject['programmes']
                or (role.get('joins_programmes') and not subject['programmes'])]
        if request.programme:
            if request.programme not in mine:
                raise Denied('programme.bound')
            return [request.programme]
        if not mine:
            raise Denied('programme.bound')
        if len(mine) > 1 and (not role.get('joins_programmes') or request.action in MAKES_RECORD):
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
        if not re.fullmatch(policy['contact_pattern'], request.contact, re.ASCII):
            raise Denied('contact.pattern')

    def _check_fields(self, request, role, programmes):
        if request.action == 'resident.lookup':
            refused = [field for field in request.search if field not in role['search_fields']]
            if refused or not request.search:
                raise Denied('field.search', refused)
        refused = [field for field in request.change if field not in role['change_fields']]
        if refused:
            raise Denied('field.change', refused)
        # As if a reason had been given: what wants one is a check of its own.
        refused = [field for field in request.fields
                   if self._disclosure(role['fields'], field, request, programmes, reason=True) == WITHHELD]
        if refused:
            raise Denied('field.withheld', refused)
        refused = [field for field in request.fields
                   if self._disclosure(role['fields'], field, request, programmes) == WITHHELD]
        if refused:
            raise Denied('reason.required', refused)

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
            if rule.get('reason_required') and not given:
                return WITHHELD
            return rule['disclosure']
        return WITHHELD

    def _view(self, kind, role, request, programmes):
        """[whether it escalates, the fields and how much of each, what a lookup finds such a record by]"""
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
