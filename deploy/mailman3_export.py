"""Writes a list of Mailman 3 as one JSON document, for `enlace migrate mailman3`.

Run it inside of Mailman, which resolves the preferences of member, address and user itself:

    cp mailman3_export.py /tmp && cd /tmp
    PYTHONPATH=/tmp mailman shell -l LIST@DOMAIN -r mailman3_export.export > list.json

It changes nothing.
"""

import json
import sys

from zope.component import getUtility


def text(value):
    """The name of an enumeration's member, or the text itself."""
    return '' if value is None else getattr(value, 'name', str(value))


def member(entry):
    user = entry.user
    name = entry.display_name or (user.display_name if user else '')
    language = entry.preferred_language
    return {
        'address': entry.address.original_email,
        'name': name or '',
        'role': text(entry.role),
        'delivery_mode': text(entry.delivery_mode),
        'delivery_status': text(entry.delivery_status),
        'language': language.code if language else '',
        'moderation_action': text(entry.moderation_action) or None,
        'receive_own_postings': entry.receive_own_postings,
    }


def held(mlist):
    from mailman.interfaces.messages import IMessageStore
    from mailman.interfaces.requests import IListRequests, RequestType
    requests, store = IListRequests(mlist), getUtility(IMessageStore)
    for request in requests.of_type(RequestType.held_message):
        message = store.get_message_by_id(request.key)
        if message is not None:
            yield message.as_bytes().decode('utf-8', 'surrogateescape').encode('utf-8', 'replace').decode('utf-8')


def requests(mlist):
    from mailman.interfaces.pending import IPendings
    from mailman.interfaces.subscriptions import ISubscriptionManager  # noqa: F401
    pendings = getUtility(IPendings)
    for token, pendable in pendings.find(mlist=mlist, pend_type='subscription'):
        if pendable.get('token_owner') == 'moderator':
            yield pendable['email']


def export(mlist):
    from mailman.interfaces.bans import IBanManager
    rosters = (mlist.members, mlist.owners, mlist.moderators, mlist.nonmembers)
    document = {
        'list': {
            'fqdn_listname': mlist.fqdn_listname,
            'description': mlist.description or '',
            'preferred_language': mlist.preferred_language.code,
            'subscription_policy': text(mlist.subscription_policy),
            'default_nonmember_action': text(mlist.default_nonmember_action),
            'archive_policy': text(mlist.archive_policy),
            'subject_prefix': mlist.subject_prefix or '',
            'default_member_action': text(mlist.default_member_action),
            'emergency': bool(mlist.emergency),
            'accept_these_nonmembers': list(mlist.accept_these_nonmembers or []),
        },
        'members': [member(entry) for roster in rosters for entry in roster.members],
        'bans': [ban.email for ban in IBanManager(mlist)],
        'held': list(held(mlist)),
        'requests': list(requests(mlist)),
    }
    json.dump(document, sys.stdout, ensure_ascii=True, indent=1)
    sys.stdout.write('\n')
