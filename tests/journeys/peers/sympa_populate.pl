# Fills a list of a real Sympa with the people of a file, by Sympa's own calls: perl sympa_populate.pl LIST@DOMAIN FILE
use strict;
use warnings;
use lib '/usr/share/sympa/lib';

use Conf;
use JSON::PP;
use Sympa::Archive;
use Sympa::DatabaseManager;
use Sympa::List;
use Sympa::Log;
use Sympa::Message;
use Sympa::Request;
use Sympa::Spool::Auth;
use Sympa::Spool::Moderation;
use Sympa::User;

my ($address, $file) = @ARGV;
my ($name, $domain) = split /@/, $address;
Conf::load() or die "no configuration\n";
Sympa::DatabaseManager->instance or die "no database\n";
my $list = Sympa::List->new($name, $domain) or die "no list\n";
open my $in, '<', $file or die "$file: $!\n";
my $people = decode_json(do { local $/; <$in> });

my $dump = '';
foreach my $person (@$people) {
    my $reception = $person->{reception};
    my $gecos = $person->{name};
    utf8::encode($gecos);
    $dump .= "email $person->{address}\ngecos $gecos\nreception $reception\nvisibility conceal\ndate 1500000000\nsubscribed 1\n";
    $dump .= "bounce 1600000000 1600100000 9 5.1.1\nbounce_score 90\n" if $person->{bouncing};
    $dump .= "suspend 1\nstartdate 1500000000\nenddate 4000000000\n" if $person->{suspended};
    $dump .= "\n";
}
open my $out, '>', "$list->{dir}/member.dump" or die "member.dump: $!\n";
print {$out} $dump;
close $out;
$list->restore_users('member') or die "Sympa took no members\n";
unlink "$list->{dir}/member.dump";
foreach my $person (@$people) {
    # Who is on a list is known as a user already, without a language.
    Sympa::User::update_global_user(lc $person->{address}, {lang => $person->{language} eq 'zh' ? 'zh-CN' : $person->{language}})
        or die "no language of $person->{address}\n";
}
# Sympa notes only who left an included source, of which there is none here.
Sympa::DatabaseManager->instance->do_prepared_query(
    q{INSERT INTO exclusion_table (list_exclusion, family_exclusion, robot_exclusion, user_exclusion, date_exclusion) VALUES (?, ?, ?, ?, ?)},
    $name, '', $domain, 'ana@example.org', time) or die "the exclusion was not kept\n";

my $text = "From: stranger\@y.test\nTo: $address\nSubject: Wait\nMessage-ID: <held\@y.test>\n\nPlease\n";
my $message = Sympa::Message->new($text, context => $list, sender => 'stranger@y.test', date => time);
Sympa::Spool::Moderation->new(context => $list)->store($message) or die "the held post was not kept\n";
my $request = Sympa::Request->new(action => 'add', context => $list, email => 'asker@y.test', date => time, sender => 'asker@y.test');
Sympa::Spool::Auth->new->store($request) or die "the request was not kept\n";

# One post of March 2020 in Sympa's own archive.
$text = "From: m0\@x.test\nMessage-ID: <old-1\@x.test>\nDate: Thu, 5 Mar 2020 10:00:00 +0000\nSubject: Declaraciones\n\nTexto\n";
my $old = Sympa::Message->new($text, context => $list, sender => 'm0@x.test', date => 1583402400);
Sympa::Archive->new(context => $list)->store($old) or die "the archive took nothing\n";
