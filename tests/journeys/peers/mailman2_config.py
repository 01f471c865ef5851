"""Writes the config.pck of a list of Mailman 2.1, with the classes that Mailman pickled, from the people of people.json.

    python3 mailman2_config.py people.json config.pck
"""

import json
import pickle
import sys
import types

mailman, bouncer = types.ModuleType('Mailman'), types.ModuleType('Mailman.Bouncer')


class _BounceInfo:
    """What Mailman 2.1 notes of a member whose mail comes back."""


_BounceInfo.__module__, _BounceInfo.__qualname__ = 'Mailman.Bouncer', '_BounceInfo'
bouncer._BounceInfo, mailman.Bouncer = _BounceInfo, bouncer
sys.modules.update({'Mailman': mailman, 'Mailman.Bouncer': bouncer})


def info(address):
    """The score of a member."""
    noted = _BounceInfo()
    noted.member, noted.score, noted.date, noted.cookie = address, 5.0, (2020, 3, 5), 'abc'
    return noted


with open(sys.argv[1], encoding='utf-8') as file:
    people = json.load(file)
digest = [p for p in people if p['mode'] in ('digest', 'plain')]
status = {p['address']: (4 if p['bouncing'] else 2, 1600000000.5) for p in people if p['bouncing'] or p['mode'] == 'none'}


def bits(person):
    """The option bits of Mailman/Defaults.py."""
    return (not person['own_posts']) * 2 | (person['mode'] == 'plain') * 8 | person['moderated'] * 128 | 256


config = {
    'members': {p['address']: 0 for p in people if p not in digest},
    # Whoever wrote her address with capitals has it as the value.
    'digest_members': {p['address']: p['address'].upper() if n == 0 else 0 for n, p in enumerate(digest)},
    'user_options': {p['address']: bits(p) for p in people},
    'delivery_status': status,
    'language': {p['address']: p['language'].replace('zh', 'zh_CN') for p in people},
    'usernames': {p['address']: p['name'] for p in people},
    'passwords': {p['address']: 'secret' for p in people},
    'bounce_info': {p['address']: info(p['address']) for p in people if p['bouncing']},
    'owner': ['boss@elsewhere.test'], 'moderator': ['mod@elsewhere.test'],
    'ban_list': ['spammer@y.test', '^.*@bad\\.test$'], 'accept_these_nonmembers': ['friend@y.test'],
    '_internal_name': 'rg', 'host_name': 'old.test', 'preferred_language': 'en', 'description': 'Old list',
    'subscribe_policy': 3, 'generic_nonmember_action': 1, 'archive_private': 1, 'subject_prefix': '[rg] ', 'data_version': 110,
}
with open(sys.argv[2], 'wb') as file:
    pickle.dump(config, file, 2)
