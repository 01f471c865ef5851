"""Fills a list of a real Mailman 3 with the people of people.json, by Mailman's own calls; run in `mailman shell -l LIST`."""

import json
import os

from email import message_from_bytes
from zope.component import getUtility


def populate(mlist):
    from mailman.app.moderator import hold_message
    from mailman.config import config
    from mailman.email.message import Message
    from mailman.interfaces.action import Action
    from mailman.interfaces.bans import IBanManager
    from mailman.interfaces.mailinglist import SubscriptionPolicy
    from mailman.interfaces.member import DeliveryMode, DeliveryStatus, MemberRole
    from mailman.interfaces.subscriptions import ISubscriptionManager
    from mailman.interfaces.usermanager import IUserManager
    from mailman.utilities.datetime import now

    manager = getUtility(IUserManager)
    with open(os.environ['PEOPLE'], encoding='utf-8') as file:
        people = json.load(file)
    for number, person in enumerate(people):
        user = manager.make_user(person['address'], person['name'])
        address = list(user.addresses)[0]
        address.verified_on = now()
        member = mlist.subscribe(address, MemberRole.member, send_welcome_message=False)
        # Mailman looks at the member, then the address, then the user: settings stand at each of them.
        where = (member, address, user)[number % 3].preferences
        where.preferred_language = person['language'].replace('zh', 'zh_CN')
        where.receive_own_postings = person['own_posts']
        where.delivery_mode = {
            'digest': DeliveryMode.mime_digests, 'plain': DeliveryMode.plaintext_digests}.get(person['mode'], DeliveryMode.regular)
        if person['bouncing']:
            where.delivery_status = DeliveryStatus.by_bounces
        elif person['mode'] == 'none':
            where.delivery_status = (DeliveryStatus.by_user, DeliveryStatus.by_moderator)[number % 2]
        if person['moderated']:
            member.moderation_action = Action.hold
    stranger = manager.create_address('stranger@y.test')
    mlist.subscribe(stranger, MemberRole.nonmember).moderation_action = Action.discard
    IBanManager(mlist).ban('spammer@y.test')
    IBanManager(mlist).ban('^.*@bad\\.test$')
    mlist.accept_these_nonmembers = ['friend@y.test']
    message = message_from_bytes(
        b'From: stranger@y.test\nTo: rg@old.test\nSubject: Wait\nMessage-ID: <held@y.test>\n\nPlease\n', Message)
    hold_message(mlist, message, {}, 'a test')
    mlist.subscription_policy = SubscriptionPolicy.moderate
    asker = manager.create_address('asker@y.test', 'Asker')
    asker.verified_on = now()
    ISubscriptionManager(mlist).register(asker, pre_verified=True)
    config.db.commit()


def names(mlist):
    """The name that HyperKitty gives to the page of a message."""
    from mailman.utilities.email import add_message_hash
    from mailman.email.message import Message
    message = message_from_bytes(b'Message-ID: <old-1@x.test>\n\n', Message)
    print(add_message_hash(message))
