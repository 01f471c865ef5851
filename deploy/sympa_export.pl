#!/usr/bin/perl
# Writes what Sympa keeps of a list beside its configuration, for `enlace migrate sympa FOLDER`.
#
#   sudo -u sympa deploy/sympa_export.pl LIST@DOMAIN [FOLDER]
#
# Into FOLDER (default: the list's own, where Sympa's dumps lie too): the dumps of members, owners and editors with the settings of
# each; list.dump, its address; user.dump, the languages of people; exclude.dump, who left an included source; moderation/, posts that
# wait; requests.dump, who asked to join and waits for an owner; config. It changes nothing else, and sends nothing. Tried with Sympa 6.2.70.
use strict;
use warnings;
use lib $ENV{SYMPA_LIBRARY} || '/usr/share/sympa/lib';

use Conf;
use File::Copy qw(copy);
use Sympa::DatabaseManager;
use Sympa::List;
use Sympa::Log;
use Sympa::Spool::Auth;
use Sympa::Spool::Moderation;

my ($address, $folder) = @ARGV;
die "usage: $0 LIST\@DOMAIN [FOLDER]\n" unless $address && $address =~ /\A([^@]+)\@(.+)\z/;
my ($name, $domain) = ($1, $2);
Conf::load() or die "Sympa's configuration cannot be read; SYMPA_CONFIG names another file\n";
Sympa::DatabaseManager->instance or die "Sympa's database does not answer\n";
my $list = Sympa::List->new($name, $domain) or die "there is no list $address\n";
$folder ||= $list->{'dir'};
-d $folder or mkdir $folder or die "$folder: $!\n";

for my $role (qw(member owner editor)) {
    $list->dump_users($role) or die "the dump of each $role failed\n";
    next if $folder eq $list->{'dir'};
    copy("$list->{'dir'}/$role.dump", "$folder/$role.dump") or die "$folder/$role.dump: $!\n";
}
open my $about, '>', "$folder/list.dump" or die "$folder/list.dump: $!\n";
print {$about} "address $name\@$domain\n";
close $about or die "$folder/list.dump: $!\n";
copy("$list->{'dir'}/config", "$folder/config") or die "$folder/config: $!\n" unless $folder eq $list->{'dir'};

sub paragraphs {
    my ($file, $query, @arguments) = @_;
    open my $out, '>:utf8', "$folder/$file" or die "$folder/$file: $!\n";
    my $database = Sympa::DatabaseManager->instance;
    my $statement = $database->do_prepared_query($query, @arguments) or die "the database did not answer for $file\n";
    while (my $row = $statement->fetchrow_hashref('NAME_lc')) {
        print {$out} map({ "$_ $row->{$_}\n" } grep { defined $row->{$_} && length $row->{$_} } sort keys %$row), "\n";
    }
    close $out or die "$folder/$file: $!\n";
}

paragraphs('user.dump',
    q{SELECT email_user AS email, lang_user AS lang FROM user_table, subscriber_table
      WHERE email_user = user_subscriber AND list_subscriber = ? AND robot_subscriber = ?}, $name, $domain);
paragraphs('exclude.dump',
    q{SELECT user_exclusion AS email, date_exclusion AS date FROM exclusion_table WHERE list_exclusion = ? AND robot_exclusion = ?},
    $name, $domain);

my $held = Sympa::Spool::Moderation->new(context => $list);
my $number = 0;
while (1) {
    my ($message, $handle) = $held->next(no_lock => 1);
    last unless defined $handle;
    next unless $message;
    mkdir "$folder/moderation";
    $number++;
    open my $out, '>', "$folder/moderation/$number" or die "$folder/moderation/$number: $!\n";
    print {$out} $message->as_string;
    close $out or die "$folder/moderation/$number: $!\n";
}

my $waiting = Sympa::Spool::Auth->new(context => $list, action => 'add');
open my $requests, '>', "$folder/requests.dump" or die "$folder/requests.dump: $!\n";
while (1) {
    my ($request, $handle) = $waiting->next(no_lock => 1);
    last unless defined $handle;
    print {$requests} "email $request->{email}\n\n" if $request && $request->{email};
}
close $requests or die "$folder/requests.dump: $!\n";
print STDERR "written into $folder\n";
