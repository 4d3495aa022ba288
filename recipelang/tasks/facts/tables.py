"""Facts and phrasings, by kind of thing. All of it is general knowledge, written for this project.

A row is `entity | value | value ...`, one value per attribute in order. A
phrasing holds `{e}` (the entity, or a pronoun where it may) and `{v}`. The last
two phrasings of every list are for validation only.
"""

ELEMENTS = """
hydrogen|H|1|1766|Henry Cavendish
helium|He|2|1868|Pierre Janssen
lithium|Li|3|1817|Johan August Arfwedson
beryllium|Be|4|1798|Louis-Nicolas Vauquelin
nitrogen|N|7|1772|Daniel Rutherford
oxygen|O|8|1774|Joseph Priestley
fluorine|F|9|1886|Henri Moissan
neon|Ne|10|1898|William Ramsay
sodium|Na|11|1807|Humphry Davy
magnesium|Mg|12|1755|Joseph Black
aluminium|Al|13|1825|Hans Christian Oersted
silicon|Si|14|1824|Jons Jacob Berzelius
phosphorus|P|15|1669|Hennig Brand
chlorine|Cl|17|1774|Carl Wilhelm Scheele
argon|Ar|18|1894|Lord Rayleigh
potassium|K|19|1807|Humphry Davy
scandium|Sc|21|1879|Lars Fredrik Nilson
titanium|Ti|22|1791|William Gregor
vanadium|V|23|1801|Andres Manuel del Rio
chromium|Cr|24|1797|Louis-Nicolas Vauquelin
manganese|Mn|25|1774|Johan Gottlieb Gahn
cobalt|Co|27|1735|Georg Brandt
nickel|Ni|28|1751|Axel Fredrik Cronstedt
gallium|Ga|31|1875|Paul-Emile Lecoq de Boisbaudran
germanium|Ge|32|1886|Clemens Winkler
selenium|Se|34|1817|Jons Jacob Berzelius
bromine|Br|35|1826|Antoine Jerome Balard
krypton|Kr|36|1898|William Ramsay
rubidium|Rb|37|1861|Robert Bunsen
strontium|Sr|38|1790|Adair Crawford
yttrium|Y|39|1794|Johan Gadolin
zirconium|Zr|40|1789|Martin Heinrich Klaproth
niobium|Nb|41|1801|Charles Hatchett
molybdenum|Mo|42|1778|Carl Wilhelm Scheele
technetium|Tc|43|1937|Emilio Segre
ruthenium|Ru|44|1844|Karl Ernst Claus
rhodium|Rh|45|1804|William Hyde Wollaston
palladium|Pd|46|1802|William Hyde Wollaston
cadmium|Cd|48|1817|Friedrich Stromeyer
indium|In|49|1863|Ferdinand Reich
tellurium|Te|52|1782|Franz-Joseph Muller von Reichenstein
iodine|I|53|1811|Bernard Courtois
xenon|Xe|54|1898|William Ramsay
barium|Ba|56|1808|Humphry Davy
cerium|Ce|58|1803|Jons Jacob Berzelius
hafnium|Hf|72|1923|Dirk Coster
tantalum|Ta|73|1802|Anders Gustaf Ekeberg
tungsten|W|74|1783|Juan Jose Elhuyar
rhenium|Re|75|1925|Walter Noddack
osmium|Os|76|1803|Smithson Tennant
iridium|Ir|77|1803|Smithson Tennant
thallium|Tl|81|1861|William Crookes
polonium|Po|84|1898|Marie Curie
radon|Rn|86|1899|Ernest Rutherford
francium|Fr|87|1939|Marguerite Perey
radium|Ra|88|1898|Pierre Curie
actinium|Ac|89|1899|Andre-Louis Debierne
thorium|Th|90|1829|Jons Jacob Berzelius
uranium|U|92|1789|Martin Heinrich Klaproth
plutonium|Pu|94|1940|Glenn Seaborg
"""

COUNTRIES = """
Argentina|Buenos Aires|peso|Spanish
Australia|Canberra|dollar|English
Austria|Vienna|euro|German
Bangladesh|Dhaka|taka|Bengali
Brazil|Brasilia|real|Portuguese
Bulgaria|Sofia|lev|Bulgarian
Cambodia|Phnom Penh|riel|Khmer
Chile|Santiago|peso|Spanish
China|Beijing|yuan|Mandarin
Colombia|Bogota|peso|Spanish
Denmark|Copenhagen|krone|Danish
Egypt|Cairo|pound|Arabic
Ethiopia|Addis Ababa|birr|Amharic
Finland|Helsinki|euro|Finnish
France|Paris|euro|French
Georgia|Tbilisi|lari|Georgian
Ghana|Accra|cedi|English
Greece|Athens|euro|Greek
Hungary|Budapest|forint|Hungarian
Iceland|Reykjavik|krona|Icelandic
India|New Delhi|rupee|Hindi
Indonesia|Jakarta|rupiah|Indonesian
Iran|Tehran|rial|Persian
Israel|Jerusalem|shekel|Hebrew
Italy|Rome|euro|Italian
Japan|Tokyo|yen|Japanese
Jordan|Amman|dinar|Arabic
Kazakhstan|Astana|tenge|Kazakh
Kenya|Nairobi|shilling|Swahili
Laos|Vientiane|kip|Lao
Latvia|Riga|euro|Latvian
Malaysia|Kuala Lumpur|ringgit|Malay
Mexico|Mexico City|peso|Spanish
Mongolia|Ulaanbaatar|tugrik|Mongolian
Morocco|Rabat|dirham|Arabic
Mozambique|Maputo|metical|Portuguese
Nepal|Kathmandu|rupee|Nepali
Netherlands|Amsterdam|euro|Dutch
Nigeria|Abuja|naira|English
Norway|Oslo|krone|Norwegian
Pakistan|Islamabad|rupee|Urdu
Paraguay|Asuncion|guarani|Spanish
Peru|Lima|sol|Spanish
Poland|Warsaw|zloty|Polish
Portugal|Lisbon|euro|Portuguese
Romania|Bucharest|leu|Romanian
Russia|Moscow|ruble|Russian
Senegal|Dakar|franc|French
Serbia|Belgrade|dinar|Serbian
Somalia|Mogadishu|shilling|Somali
Spain|Madrid|euro|Spanish
Sweden|Stockholm|krona|Swedish
Tanzania|Dodoma|shilling|Swahili
Thailand|Bangkok|baht|Thai
Turkey|Ankara|lira|Turkish
Ukraine|Kyiv|hryvnia|Ukrainian
Vietnam|Hanoi|dong|Vietnamese
Zambia|Lusaka|kwacha|English
"""

INSTRUMENTS = """
violin|strings|Italy|a horsehair bow
sitar|strings|India|a wire plectrum
banjo|strings|the United States|the fingers
balalaika|strings|Russia|the index finger
koto|strings|Japan|three finger picks
oud|strings|Iraq|a long pick
harp|strings|Egypt|the fingertips
erhu|strings|China|a bamboo bow
ukulele|strings|Hawaii|the thumb
zither|strings|Austria|a thumb ring
flute|woodwinds|Germany|the breath
oboe|woodwinds|France|a double reed
clarinet|woodwinds|Nuremberg|a single reed
bassoon|woodwinds|Italy|a folded double reed
saxophone|woodwinds|Belgium|a cane reed
didgeridoo|winds|Australia|vibrating lips
shakuhachi|woodwinds|Japan|a sharp edge
duduk|woodwinds|Armenia|a wide reed
trumpet|brass|Egypt|three valves
trombone|brass|Burgundy|a slide
tuba|brass|Prussia|large valves
horn|brass|Paris|rotary valves
timpani|percussion|Turkey|padded mallets
marimba|percussion|Guatemala|rubber mallets
xylophone|percussion|Southeast Asia|wooden mallets
djembe|percussion|Mali|bare hands
tabla|percussion|India|the palms
gong|percussion|Java|a soft beater
steelpan|percussion|Trinidad|short sticks
bodhran|percussion|Ireland|a tipper
piano|keyboards|Florence|felt hammers
harpsichord|keyboards|Flanders|plucking quills
organ|keyboards|Alexandria|pipes and bellows
accordion|free reeds|Vienna|buttons and bellows
harmonica|free reeds|Bohemia|ten holes
bagpipes|woodwinds|Scotland|an air bag
"""

RIVERS = """
Amazon|Brazil|the Atlantic Ocean|6400
Nile|Sudan|the Mediterranean Sea|6650
Danube|Hungary|the Black Sea|2850
Rhine|Germany|the North Sea|1230
Volga|Russia|the Caspian Sea|3530
Ganges|India|the Bay of Bengal|2525
Indus|Pakistan|the Arabian Sea|3180
Mekong|Laos|the South China Sea|4350
Yangtze|China|the East China Sea|6300
Mississippi|the United States|the Gulf of Mexico|3730
Congo|Zaire|the South Atlantic|4700
Niger|Mali|the Gulf of Guinea|4180
Zambezi|Zambia|the Indian Ocean|2574
Orinoco|Venezuela|the Caribbean edge|2140
Murray|Australia|the Great Australian Bight|2508
Loire|France|the Bay of Biscay|1006
Tagus|Portugal|the Lisbon estuary|1007
Elbe|Saxony|the German Bight|1094
Vistula|Poland|the Baltic Sea|1047
Dnieper|Ukraine|the Kherson delta|2201
Euphrates|Iraq|the Persian Gulf|2800
Lena|Siberia|the Laptev Sea|4294
Yenisei|Mongolia|the Kara Sea|3487
Yukon|Alaska|the Bering Sea|3190
Mackenzie|Canada|the Beaufort Sea|1738
Po|Italy|the Adriatic Sea|652
Rhone|Switzerland|the Gulf of Lion|813
Parana|Argentina|the Rio de la Plata|4880
Irrawaddy|Burma|the Andaman Sea|2210
Limpopo|Mozambique|the Mozambique Channel|1750
"""

#: kind -> (table, attributes); attribute -> (statements, questions)
KINDS: dict[str, tuple[str, list[tuple[list[str], list[str]]]]] = {
    "element": (
        ELEMENTS,
        [
            (
                ["The symbol of {e} is {v}.", "The letters for {e} are {v}.", "{v} is the symbol for {e}.", "{e} is written as {v}.", "Chemists write {v} for {e}.",
                 "In formulas, {v} stands for {e}.", "One finds {e} under the sign {v}.", "The short form {v} denotes {e}."],
                ["What is the symbol of {e}?", "Which letters stand for {e}?", "By what symbol is {e} known?", "How is {e} written?", "Which sign stands for {e}?",
                 "What do chemists write for {e}?", "Which short form denotes {e}?", "Under which letters is {e} found?"],
            ),
            (
                ["{e} has atomic number {v}.", "{e} is element number {v}.", "Number {v} in the periodic table is {e}.", "The atomic number of {e} is {v}.", "There are {v} protons in {e}.",
                 "With {v} protons, {e} has its own place.", "The nucleus of {e} holds {v} protons.", "Place {v} of the table belongs to {e}."],
                ["What is the atomic number of {e}?", "Which element number is {e}?", "Where in the periodic table is {e}?", "How many protons does {e} have?", "What number does {e} have?",
                 "How many protons are in {e}?", "Which place of the table belongs to {e}?", "How many protons does the nucleus of {e} hold?"],
            ),
            (
                ["{e} was found in {v}.", "The first sample of {e} was made in {v}.", "{v} was the year when {e} was found.", "The discovery of {e} dates from {v}.", "In {v}, {e} was first identified.",
                 "Since {v}, {e} has been known.", "The year {v} saw the first report of {e}.", "People have known {e} since {v}."],
                ["When was {e} found?", "When was the first sample of {e} made?", "When did people first know of {e}?", "In which year was {e} first identified?", "What is the year of the discovery of {e}?",
                 "Since when has {e} been known?", "Which year saw the first report of {e}?", "From what year do people know {e}?"],
            ),
            (
                ["{e} was discovered by {v}.", "{v} discovered {e}.", "The person who found {e} was {v}.", "{v} was the first to find {e}.", "The discoverer of {e} was {v}.",
                 "We owe {e} to {v}.", "Credit for {e} goes to {v}.", "It was {v} who identified {e}."],
                ["Who discovered {e}?", "Which person found {e}?", "Who is the discoverer of {e}?", "Who was the first to find {e}?", "To whom do we owe {e}?",
                 "Who was the discoverer of {e}?", "Who gets the credit for {e}?", "By whom was {e} identified?"],
            ),
        ],
    ),
    "country": (
        COUNTRIES,
        [
            (
                ["The capital of {e} is {v}.", "{v} is the seat of government of {e}.", "The main city of {e} is {v}.", "{v} is the capital of {e}.", "{e} is governed from {v}.",
                 "The government of {e} sits in {v}.", "The parliament of {e} meets in {v}.", "Ministers of {e} work in {v}."],
                ["What is the capital of {e}?", "What is the main city of {e}?", "Which city is the seat of government of {e}?", "From which city is {e} governed?", "Where does the government of {e} sit?",
                 "Which city is the capital of {e}?", "Where does the parliament of {e} meet?", "In which city do ministers of {e} work?"],
            ),
            (
                ["People in {e} pay with the {v}.", "Prices in {e} are given in the {v}.", "The {v} is the currency of {e}.", "The currency of {e} is the {v}.", "{e} uses the {v} as money.",
                 "Shops in {e} take the {v}.", "Wages in {e} are paid in the {v}.", "The money of {e} is called the {v}."],
                ["What is the currency of {e}?", "In what are prices in {e} given?", "Which currency do people in {e} have?", "What do people in {e} pay with?", "Which money does {e} use?",
                 "What do shops in {e} take?", "In what are wages in {e} paid?", "What is the money of {e} called?"],
            ),
            (
                ["Most people in {e} speak {v}.", "The people of {e} talk in {v}.", "In {e} one mostly hears {v}.", "The main language of {e} is {v}.", "{v} is spoken in {e}.",
                 "Schools in {e} teach in {v}.", "Newspapers in {e} appear in {v}.", "The radio of {e} broadcasts in {v}."],
                ["Which language is spoken in {e}?", "What language does one mostly hear in {e}?", "In which language do the people of {e} talk?", "What is the main language of {e}?", "What do most people in {e} speak?",
                 "In which language do schools in {e} teach?", "In what language do newspapers in {e} appear?", "In which language does the radio of {e} broadcast?"],
            ),
        ],
    ),
    "instrument": (
        INSTRUMENTS,
        [
            (
                ["The {e} belongs to the {v}.", "The {e} is one of the {v}.", "The {v} include the {e}.", "The {e} is counted among the {v}.", "Players sort the {e} under {v}.",
                 "The family of the {e} is {v}.", "In an orchestra list the {e} stands with the {v}.", "Museums file the {e} under {v}."],
                ["To which family does the {e} belong?", "Which group includes the {e}?", "What kind of instrument is the {e}?", "What is the {e} counted among?", "Under what do players sort the {e}?",
                 "What is the family of the {e}?", "With which group does the {e} stand?", "Under what do museums file the {e}?"],
            ),
            (
                ["The {e} comes from {v}.", "The {e} was invented in {v}.", "People in {v} built the first {e}.", "The home of the {e} is {v}.", "The {e} was first made in {v}.",
                 "Early makers of the {e} lived in {v}.", "The oldest kind of {e} is known from {v}.", "It was in {v} that the {e} took shape."],
                ["Where does the {e} come from?", "Where was the {e} invented?", "Which people built the first {e}?", "What is the home of the {e}?", "Where was the {e} first made?",
                 "Where did early makers of the {e} live?", "From where is the oldest kind of {e} known?", "Where did the {e} take shape?"],
            ),
            (
                ["The {e} is played with {v}.", "One plays the {e} with {v}.", "The sound of the {e} is made by {v}.", "To sound the {e} one uses {v}.", "Players of the {e} need {v}.",
                 "The tone of the {e} is made with {v}.", "What moves the {e} is {v}.", "The voice of the {e} depends on {v}."],
                ["What is the {e} played with?", "With what does one play the {e}?", "What makes the sound of the {e}?", "What does one use to sound the {e}?", "What do players of the {e} need?",
                 "With what is the tone of the {e} made?", "What moves the {e}?", "On what does the voice of the {e} depend?"],
            ),
        ],
    ),
    "river": (
        RIVERS,
        [
            (
                ["The {e} flows through {v}.", "The {e} runs across {v}.", "In {v} one finds the {e}.", "The {e} crosses {v}.", "Travellers meet the {e} in {v}.",
                 "Towns in {v} lie along the {e}.", "The middle course of the {e} is in {v}.", "Fields of {v} are watered by the {e}."],
                ["Through which land does the {e} flow?", "Across which country does the {e} run?", "In which land does one find the {e}?", "What does the {e} cross?", "Where do travellers meet the {e}?",
                 "Where do towns lie along the {e}?", "Where is the middle course of the {e}?", "Whose fields are watered by the {e}?"],
            ),
            (
                ["The {e} empties into {v}.", "The {e} flows into {v}.", "The {e} meets the sea at {v}.", "The {e} reaches {v}.", "The mouth of the {e} is at {v}.",
                 "The {e} ends in {v}.", "Water of the {e} finally joins {v}.", "Ships leave the {e} for {v}."],
                ["Into what does the {e} empty?", "Into which water does the {e} flow?", "Where does the {e} meet the sea?", "What does the {e} reach?", "Where is the mouth of the {e}?",
                 "Where does the {e} end?", "What does the water of the {e} finally join?", "For what do ships leave the {e}?"],
            ),
            (
                ["The {e} is {v} kilometres long.", "From source to mouth the {e} measures {v} kilometres.", "The {e} has a length of {v} kilometres.", "The length of the {e} is {v} kilometres.", "The {e} runs for {v} kilometres.",
                 "Over {v} kilometres, the {e} winds its way.", "Surveyors give the {e} {v} kilometres.", "A boat on the {e} can go {v} kilometres."],
                ["How long is the {e}?", "How many kilometres does the {e} measure?", "What length in kilometres does the {e} have?", "What is the length of the {e} in kilometres?", "For how many kilometres does the {e} run?",
                 "Over how many kilometres does the {e} wind?", "How many kilometres do surveyors give the {e}?", "How many kilometres can a boat go on the {e}?"],
            ),
        ],
    ),
}  # fmt: skip
